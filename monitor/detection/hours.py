"""A track's last eight days by the hour: the mood as it was, and where its level stood."""

from monitor.detection.state import Hour, State

_KEPT = 8 * 24
_LEAST_POSTS = 5
_LEVEL_MOVED = 0.10
"""Change of the level within a day that is reported."""
_DAY_S = 86_400


def remember_hour(state: State, hour: int, scored: float, soft: float) -> None:
    """Count a minute in its hour (hours since 1970)."""
    hours = state.hours
    if not hours or hours[-1].hour != hour:
        hours.append(Hour(hour))
        if len(hours) > _KEPT:
            del hours[0]
    hours[-1].scored += scored
    hours[-1].soft += soft


def same_hour(state: State, at: float, days: int) -> float | None:
    """Return the soft share negative of the same hour so many days before, where known."""
    hour = int(at // 3600) - 24 * days
    for known in state.hours:
        if known.hour == hour and known.scored >= _LEAST_POSTS:
            return known.soft / known.scored
    return None


def moved_level(state: State, now: int, *, warm: bool) -> tuple[float, float] | None:
    """Look at the level, once an hour (`now`: Unix seconds).

    Return it and the one of a day before, where it moved so far that it is reported: at most once
    a day, and while no alert is open.
    """
    level, doubt = state.baseline.state[0], state.baseline.deviation()
    moved = None
    if state.levels and state.open is None and warm:
        _, before, doubted = state.levels[0]
        sure = 3 * (doubt * doubt + doubted * doubted) ** 0.5
        far = abs(level - before) > max(_LEVEL_MOVED, sure)
        if far and now - state.level_told > _DAY_S:
            moved = level, before
    state.levels.append((now, level, doubt))
    if len(state.levels) > 24:
        del state.levels[0]
    return moved
