"""Single values as other programs write them: ids, times, lists of words."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

# Unix times above these are milliseconds and microseconds: as seconds they lie in the year 5138
# and later, and a real one in milliseconds is above the first from March 1973 on.
_MILLISECONDS = 1e11
_MICROSECONDS = 1e14

_TWITTER_TIME = "%a %b %d %H:%M:%S %z %Y"

_PASSED_OVER = re.compile(
    r":\d\d\s*(?:[ap]\.?m\b|[a-z]+\s*[+-]\d|[+-]\d{1,2}:\d|[+-]\d{1,3}\b)", re.IGNORECASE
)
"""An afternoon, or an offset of another form than `+0100`, after the time: Python's reader of RFC
2822 takes the time as if it weren't there, hours off."""

_NUMBER = re.compile(r"\s*[+-]?\d{1,20}(\.\d{0,20})?\s*")


def read_text(value: Any) -> str | None:
    """Give a text or a whole number as text; None for anything else, and for empty text."""
    if isinstance(value, str):
        return value or None
    # Not bool, which is an int; not float, whose spelling is not the source's.
    return str(value) if type(value) is int else None


def read_topics(value: Any) -> tuple[str, ...]:
    """Give a list's texts and whole numbers, or one text's parts between commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list):
        return tuple(part for part in map(read_text, value) if part is not None)
    return ()


def read_time(value: Any) -> datetime:
    """Read a time in any form that feeds have; UTC where it doesn't say.

    Unix seconds, milliseconds or microseconds, as a number or as text; ISO 8601 and RFC 3339;
    RFC 2822 (`Tue, 14 Nov 2023 22:13:20 GMT`); Twitter's (`Tue Nov 14 22:13:20 +0000 2023`).

    Raises:
        ValueError: it is no time. The message may quote it.
    """
    if isinstance(value, str):
        if _NUMBER.fullmatch(value) is None:
            return _written_time(value.strip())
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("neither text nor a number")  # noqa: TRY004 - as for a text that is none
    try:
        if abs(value) >= _MICROSECONDS:
            value /= 1e6
        elif abs(value) >= _MILLISECONDS:
            value /= 1e3
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("out of range") from error


def _written_time(text: str) -> datetime:
    for read in (datetime.fromisoformat, _twitter_time, _mail_time):
        try:
            time = read(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            # The last three are what parsedate_to_datetime lets through for some texts.
            continue
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    raise ValueError("no form of a time that is known")


def _twitter_time(text: str) -> datetime:
    return datetime.strptime(text, _TWITTER_TIME)  # noqa: DTZ007 - it has %z


def _mail_time(text: str) -> datetime:
    if _PASSED_OVER.search(text):
        raise ValueError("no RFC 2822")
    return parsedate_to_datetime(text)
