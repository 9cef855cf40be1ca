"""When a track is muted: until a time, or each week at the same local time."""

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from schemas.alert import Mute

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(r"([a-z,-]+) +(\d\d:\d\d)-(\d\d:\d\d)")


class Weekly(msgspec.Struct, frozen=True):
    """Times of the week in a zone; an end that isn't after its start lies on the next day."""

    days: frozenset[int]
    """0 is Monday: the days on which it starts."""
    start: time
    end: time
    zone: ZoneInfo

    def covers(self, moment: datetime) -> bool:
        """Whether `moment`, with a time zone, lies in it; by the clock on the wall there."""
        local = moment.astimezone(self.zone)
        now, today = local.time(), local.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= now < self.end
        yesterday = (today - 1) % 7
        return (today in self.days and now >= self.start) or (
            yesterday in self.days and now < self.end
        )


def read_weekly(text: str, zone: str | None) -> Weekly:
    """Read `mon-fri,sun 22:00-06:00` in an IANA time zone, such as `Europe/Vienna`.

    Raises:
        ValueError: it can't be read; the message says what would do.
    """
    found = _WEEKLY.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"weekly is days and times, such as `mon-fri 22:00-06:00`; not {text!r}")
    try:
        start, end = time.fromisoformat(found[2]), time.fromisoformat(found[3])
    except ValueError:
        raise ValueError("weekly: a time is HH:MM, from 00:00 to 23:59") from None
    return Weekly(_days(found[1]), start, end, _zone(zone))


def check_mute(mute: Mute) -> None:
    """Refuse a mute that never would be in force, or can't be understood.

    Raises:
        ValueError: with the sentence that says what to change.
    """
    if mute.weekly is not None:
        read_weekly(mute.weekly, mute.zone)
    elif mute.zone is not None:
        raise ValueError("zone belongs to weekly: give both, or neither")
    if mute.until is not None and mute.until <= mute.at:
        raise ValueError("until lies in the past")


def in_force(mute: Mute, moment: datetime) -> bool:
    """Whether the track is muted at `moment`. One that can't be understood mutes nothing."""
    if is_over(mute, moment):
        return False
    if mute.weekly is None:
        return True
    try:
        return read_weekly(mute.weekly, mute.zone).covers(moment)
    except ValueError:
        return False


def is_over(mute: Mute, moment: datetime) -> bool:
    """Whether it has ended for good."""
    return mute.until is not None and mute.until <= moment


def until(text: str, now: datetime) -> datetime:
    """Read a time in RFC 3339, or a span from `now` on: `30m`, `8h`, `2d`.

    Raises:
        ValueError: neither can be read.
    """
    span = re.fullmatch(r"(\d{1,4})([mhd])", text.strip())
    if span is not None:
        unit = {"m": "minutes", "h": "hours", "d": "days"}[span[2]]
        return now + timedelta(**{unit: int(span[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"until is a time such as 2026-01-31T08:00, or a span such as 8h; not {text!r}"
        ) from None


def _days(text: str) -> frozenset[int]:
    if text == "daily":
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise ValueError(f"weekly: a day is one of {', '.join(DAYS)}, or `daily`; not {part!r}")
        at, stop = DAYS.index(first), DAYS.index(last or first)
        days.update((at + step) % 7 for step in range((stop - at) % 7 + 1))
    return frozenset(days)


def _zone(name: str | None) -> ZoneInfo:
    if not name:
        raise ValueError("weekly needs zone, an IANA time zone such as Europe/Vienna or UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"zone {name!r} is no IANA time zone, such as Europe/Vienna") from None
