"""From a record's JSON to a row of typed columns, with nothing lost on the way.

A column takes its value from one place in the object. What no column takes, because a later
version of the schema added it, or because it has another type than it should, stays together as
JSON in the column `more`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec

Type = Literal["text", "texts", "number", "integer", "boolean", "time", "json"]
"""Parquet's `string`, `list<string>`, `double`, `int64`, `boolean`, `timestamp[us, UTC]`, and
`string` that holds JSON."""

_LARGEST: Final = 2**63 - 1
_encode = msgspec.json.Encoder().encode


class Unreadable(ValueError):  # noqa: N818 - says what it is
    """A record is not what the topic should hold."""


class Column(NamedTuple):
    """One column, and where its value is in the object."""

    name: str
    type: Type
    meaning: str
    path: tuple[str, ...]
    default: Any = None
    """Where the object has no such field."""
    required: bool = False
    """A record without it can't be read."""


class Row(NamedTuple):
    """One record's values."""

    day: date
    """UTC."""
    values: list[Any]
    """In the order of the table's columns."""


class Table:
    """One kind of record as a table."""

    def __init__(
        self,
        name: str,
        columns: Sequence[Column],
        *,
        time: str,
        marks: Mapping[str, Any],
        meaning: str,
    ) -> None:
        """Describe it.

        `time` is the column whose day is the folder. `marks` are fields that a record of this
        kind has, with a value or, for None, with any: others of the same topic are left out.
        """
        self.name = name
        self.columns = tuple(columns)
        self.time = time
        self.meaning = meaning
        self._marks = marks
        self._readers = tuple(
            (one.path[:-1], one.path[-1], _READERS[one.type], one.default, one.required)
            for one in columns
        )
        inner = {one.path[:depth] for one in columns for depth in range(1, len(one.path))}
        self._inner = sorted(inner, key=len, reverse=True)
        self._time = [one.name for one in columns].index(time)

    def belongs(self, record: Mapping[str, Any]) -> bool:
        """Whether an object of the topic is of this table."""
        return all(
            name in record and (wanted is None or record[name] == wanted)
            for name, wanted in self._marks.items()
        )

    def row(self, value: bytes) -> Row | None:
        """Read a record's value; None if it belongs to another table of its topic.

        Raises:
            Unreadable: it isn't JSON, or lacks what every record has.
        """
        try:
            record = msgspec.json.decode(value)
            if not isinstance(record, dict):
                raise Unreadable("not an object")
            if not self.belongs(record):
                return None
            values = self._take(record)
            return Row(values[self._time].date(), [*values, self._rest(record)])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreadable("not JSON") from error
        except RecursionError as error:
            raise Unreadable("nested too deep") from error

    def _take(self, record: dict[str, Any]) -> list[Any]:
        """Take each column's value out of the object."""
        values = []
        for parents, name, read, default, required in self._readers:
            place: Any = record
            for parent in parents:
                place = place.get(parent) if isinstance(place, dict) else None
            raw = place.get(name) if isinstance(place, dict) else None
            found = None if raw is None else read(raw)
            if found is None and required:
                raise Unreadable(f"no {'.'.join((*parents, name))}")
            if isinstance(place, dict) and (raw is None or found is not None):
                place.pop(name, None)
            values.append(default if raw is None else found)
        return values

    def _rest(self, record: dict[str, Any]) -> str | None:
        """What no column took, as JSON, without the objects that were emptied."""
        for path in self._inner if record else ():
            place: Any = record
            for parent in path[:-1]:
                place = place.get(parent) if isinstance(place, dict) else None
            if isinstance(place, dict) and place.get(path[-1]) == {}:
                del place[path[-1]]
        return _encode(record).decode() if record else None


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    return None


def _number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return float(value)
    return None


def _integer(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return value
    return None


def _boolean(value: Any) -> Any:
    return value if isinstance(value, bool) else None


def _time(value: Any) -> Any:
    """A time with its offset, in UTC."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _json(value: Any) -> Any:
    return _encode(value).decode()


_READERS: Final[Mapping[Type, Callable[[Any], Any]]] = {
    "text": _text,
    "texts": _texts,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "time": _time,
    "json": _json,
}
