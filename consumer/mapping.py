"""Records of any JSON shape, read as posts by dotted paths; compiled once."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from consumer.letters import Poison
from consumer.records import Record
from consumer.settings import Fields
from schemas import Post

# Unix times above these are milliseconds and microseconds: as seconds they lie in the year 5138
# and later, and a real one in milliseconds is above the first from March 1973 on.
_MILLISECONDS = 1e11
_MICROSECONDS = 1e14


class NotAPost(Exception):  # noqa: N818 - what it is, not that it is an error
    """A record that holds no post. The message never quotes it."""

    def __init__(self, poison: Poison, message: str) -> None:
        super().__init__(message)
        self.poison = poison
        """The class of its dead letter."""


class Mapping:
    """Reads records of any other JSON shape."""

    def __init__(self, fields: Fields) -> None:
        self._decode = msgspec.json.Decoder().decode
        self._id_name, self._text_name = fields.id, fields.text
        self._id = _path(fields.id)
        self._text = _path(fields.text)
        self._source = _path(fields.source)
        self._author = _path(fields.author)
        self._created_at = _path(fields.created_at)
        self._lang = _path(fields.lang)
        self._url = _path(fields.url)
        self._topics = _path(fields.topics)
        self._meta = _path(fields.meta)

    def read(self, record: Record) -> Post:
        """Read one record.

        Raises:
            NotAPost, msgspec.DecodeError, UnicodeError, RecursionError: it is no post.
        """
        assert record.value is not None
        tree = self._decode(record.value)
        if not isinstance(tree, dict):
            raise NotAPost(Poison.WRONG_TYPE, "expected an object")
        text = _walk(tree, self._text)
        if text is None:
            raise NotAPost(Poison.MISSING_FIELD, f"no text at {self._text_name}")
        if not isinstance(text, str):
            raise NotAPost(Poison.WRONG_TYPE, f"no text at {self._text_name}, but another type")
        meta = _walk(tree, self._meta)
        return Post(
            id=self._identify(record, tree),
            text=text,
            source=_string(_walk(tree, self._source)),
            author=_string(_walk(tree, self._author)),
            created_at=_time(_walk(tree, self._created_at)),
            lang=_string(_walk(tree, self._lang)),
            url=_string(_walk(tree, self._url)),
            topics=_strings(_walk(tree, self._topics)),
            meta=meta if isinstance(meta, dict) else {},
        )

    def _identify(self, record: Record, tree: dict[str, Any]) -> str:
        if self._id_name == "@position":
            return f"{record.topic}/{record.partition}/{record.offset}"
        if self._id_name == "@key":
            if not record.key:
                raise NotAPost(Poison.MISSING_FIELD, "the record has no key to take the id from")
            return record.key.decode()
        found = _walk(tree, self._id)
        if found is None or found == "":
            raise NotAPost(Poison.MISSING_FIELD, f"no id at {self._id_name}")
        text = _string(found)
        if text is None:
            raise NotAPost(Poison.WRONG_TYPE, f"the id at {self._id_name} is no text or number")
        return text


class _Step(NamedTuple):
    key: str
    position: int | None
    """The same as a position, where the next thing is a list."""


def _path(dotted: str) -> tuple[_Step, ...]:
    return tuple(
        _Step(part, int(part) if part.isdecimal() else None) for part in dotted.split(".") if part
    )


def _walk(tree: Any, path: tuple[_Step, ...]) -> Any:
    """What stands at the path; None where nothing does, or no path is set."""
    if not path:
        return None
    for key, index in path:
        if isinstance(tree, dict):
            tree = tree.get(key)
        elif isinstance(tree, list) and index is not None and index < len(tree):
            tree = tree[index]
        else:
            return None
    return tree


def _string(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    # Not bool, which is an int; not float, whose spelling is not the source's.
    return str(value) if type(value) is int else None


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, list):
        return tuple(part for part in map(_string, value) if part is not None)
    return ()


def _time(value: Any) -> datetime | None:
    """RFC 3339, Twitter's own form, or Unix seconds, milliseconds, microseconds; UTC if silent."""
    try:
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                return _written_time(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if abs(value) >= _MICROSECONDS:
                value /= 1e6
            elif abs(value) >= _MILLISECONDS:
                value /= 1e3
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _written_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y")  # Twitter's own form
    return time if time.tzinfo else time.replace(tzinfo=UTC)
