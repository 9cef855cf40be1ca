"""JSON of any other shape: where a post's parts stand in it, and in what form.

A consumer that maps a topic and a producer that maps a file read the same paths the same way.
"""

from datetime import UTC, datetime
from typing import Any

# Unix times above these are milliseconds and microseconds: as seconds they lie in the year 5138
# and later, and a real one in milliseconds is above the first from March 1973 on.
_MILLISECONDS = 1e11
_MICROSECONDS = 1e14

_TWITTER_TIME = "%a %b %d %H:%M:%S %z %Y"


class DottedPath:
    """A dotted path, cut once: `user.screen_name`; lists by index: `entities.0.text`."""

    __slots__ = ("_dotted", "_steps")

    def __init__(self, dotted: str | None) -> None:
        """Empty and None lead nowhere."""
        self._dotted = dotted or ""
        self._steps = tuple(
            (key, int(key) if key.isdecimal() else None) for key in self._dotted.split(".") if key
        )

    def find(self, tree: Any) -> Any:
        """Give what stands there; None where nothing does. A key with dots is tried first."""
        steps = self._steps
        if len(steps) > 1 and isinstance(tree, dict) and self._dotted in tree:
            return tree[self._dotted]
        if not steps:
            return None
        for key, index in steps:
            if isinstance(tree, dict):
                tree = tree.get(key)
            elif isinstance(tree, list) and index is not None and index < len(tree):
                tree = tree[index]
            else:
                return None
        return tree


def read_text(value: Any) -> str | None:
    """Give a text or a whole number as text; None for anything else, and for empty text."""
    if isinstance(value, str):
        return value or None
    # Not bool, which is an int; not float, whose spelling is not the source's.
    return str(value) if type(value) is int else None


def read_time(value: Any) -> datetime:
    """Read RFC 3339, Twitter's own form, or Unix seconds, milliseconds or microseconds.

    UTC where it doesn't say.

    Raises:
        ValueError: it is no time. The message may quote it.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return _written_time(value)
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
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = datetime.strptime(text, _TWITTER_TIME)  # noqa: DTZ007 - it has %z
    return time if time.tzinfo else time.replace(tzinfo=UTC)
