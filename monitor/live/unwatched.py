"""What the topics still hold of tracks that the configuration asks for no longer."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import NAMESPACE_OID, uuid5

import msgspec

from monitor.configured import digest, rules
from monitor.live.stored import Stored
from monitor.settings import Settings
from schemas.alert import Alert
from schemas.baseline import MadeBy


def made_by(settings: Settings) -> MadeBy:
    """What makes the tracks today: their names in the configuration, or `monitor.by`."""
    return "name" if settings.monitor.tracks else settings.monitor.by


def drop_unwatched(settings: Settings, stored: Stored) -> tuple[str, ...]:
    """Take tracks that are watched no longer out of what is stored; give them.

    Those that another setting of `monitor.by` made, and those that the configuration doesn't name
    any more, or names with other conditions, which find other posts: such a name is new, and warmed
    from the events kept, now or when it comes back. A track with
    windows and no baseline is one of them, too: a track's first window is written with its
    baseline, which says what made it. Where no baseline says so they were all written by an older
    version: they are kept, if they are named or nothing is.
    """
    today, recorded = made_by(settings), with_baseline(stored)
    named = {rule.name: digest(rule) for rule in rules(settings)}

    def is_watched(track: str) -> bool:
        if named and (track not in named or stored.rules.get(track, named[track]) != named[track]):
            return False
        known = stored.made_by.get(track, today) == today
        return not stored.made_by or (known and track in recorded)

    dropped = [
        track for track in dict.fromkeys((*stored.tracks, *stored.refused)) if not is_watched(track)
    ]
    for track in dropped:
        stored.tracks.pop(track, None)
        stored.baselines.pop(track, None)
    gone = set(dropped)
    stored.windows = [window for window in stored.windows if window.track not in gone]
    return tuple(dropped)


def with_baseline(stored: Stored) -> frozenset[str]:
    """The tracks that have a baseline on its topic, if only a blank or a refused one."""
    return frozenset((*stored.made_by, *stored.baselines, *stored.refused))


def ends_of(
    alerts: Iterable[Alert],
    *,
    watched: Iterable[str],
    followed: Iterable[str],
    closed_until: int,
) -> list[Alert]:
    """The ends of those open alerts that no detector follows: nothing else would end them.

    `followed` are the tracks whose detectors have an open alert. Of the others some are `watched`
    no longer; the rest were learnt again, as their baselines could not be used. The ends' ids are
    the same whoever writes them: they end where event time stopped (Unix seconds).
    """
    names, following = set(watched), set(followed)
    ends = []
    for alert in alerts:
        if alert.track in following:
            continue
        at = max(alert.at, datetime.fromtimestamp(closed_until, UTC))
        id_ = str(uuid5(NAMESPACE_OID, f"{alert.alert_id}\nresolved\n{at.timestamp():.0f}"))
        learnt = "its track was learnt again: whether the mood is back to usual isn't known"
        ends.append(
            msgspec.structs.replace(
                alert,
                id=id_,
                transition="resolved",
                at=at,
                resolved_at=at,
                note=learnt if alert.track in names else "its track is watched no longer",
            )
        )
    return ends
