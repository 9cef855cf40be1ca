"""From a record's bytes to a post, or to the reason why not. Never raises on any input."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import msgspec

from consumer.letters import Poison, Stage, letter
from consumer.records import Record
from consumer.settings import Fields, Input
from emollm.prompts import is_blank
from schemas import DeadLetter, Post

# Unix times above these are milliseconds and microseconds: as seconds they lie in the year 5138
# and later, and a real one in milliseconds is above the first from March 1973 on.
_MILLISECONDS = 1e11
_MICROSECONDS = 1e14


class _Refused(Exception):  # noqa: N818 - internal control flow: the reason of a dead letter
    def __init__(self, poison: Poison, message: str) -> None:
        super().__init__(message)
        self.poison = poison


_Read: TypeAlias = Callable[[Record], Post]


class Decoder:
    """Turns records into posts, by the configured mapping compiled once."""

    def __init__(self, options: Input | None = None) -> None:
        options = options or Input()
        self._max_bytes = options.max_record_bytes
        self._read: _Read = (
            _reader() if options.fields == Fields() else _Mapping(options.fields).read
        )
        self._source = options.default_source or None
        self._lang = options.default_lang or None

    def decode(self, record: Record) -> Post | DeadLetter:
        """Give the post, with `created_at` always set, or a dead letter of stage `decode`."""
        value = record.value
        try:
            if value is None:
                raise _Refused(Poison.NULL_VALUE, "the record has no value (a tombstone)")
            if len(value) > self._max_bytes:
                raise _Refused(
                    Poison.TOO_LARGE, f"{len(value)} bytes, over the limit of {self._max_bytes}"
                )
            post = self._read(record)
            if is_blank(post.text):
                raise _Refused(Poison.EMPTY_TEXT, "the text holds nothing visible")
        except _Refused as refused:
            return letter(record, Stage.DECODE, refused.poison, str(refused))
        except msgspec.ValidationError as error:
            missing = "missing required field" in str(error)
            poison = Poison.MISSING_FIELD if missing else Poison.WRONG_TYPE
            return letter(record, Stage.DECODE, poison, str(error))
        except (msgspec.DecodeError, UnicodeError) as error:
            return letter(record, Stage.DECODE, *_undecodable(value or b"", error))
        except RecursionError:
            return letter(record, Stage.DECODE, Poison.TOO_DEEP, "nested too deep to be read")
        if post.created_at is None or (self._source or self._lang):
            post = msgspec.structs.replace(
                post,
                created_at=post.created_at or _record_time(record),
                source=post.source or self._source,
                lang=post.lang or self._lang,
            )
        return post


def _reader() -> _Read:
    """Read records that are a `Post` already, strictly typed: the fast path."""
    decode = msgspec.json.Decoder(Post).decode

    def read(record: Record) -> Post:
        return decode(record.value)  # type: ignore[arg-type]  # None was refused before

    return read


class _Mapping:
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
            _Refused, msgspec.DecodeError, UnicodeError, RecursionError: it is no post.
        """
        assert record.value is not None
        tree = self._decode(record.value)
        if not isinstance(tree, dict):
            raise _Refused(Poison.WRONG_TYPE, "expected an object")
        text = _walk(tree, self._text)
        if text is None:
            raise _Refused(Poison.MISSING_FIELD, f"no text at {self._text_name}")
        if not isinstance(text, str):
            raise _Refused(Poison.WRONG_TYPE, f"no text at {self._text_name}, but another type")
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
                raise _Refused(Poison.MISSING_FIELD, "the record has no key to take the id from")
            return record.key.decode()
        found = _walk(tree, self._id)
        if found is None or found == "":
            raise _Refused(Poison.MISSING_FIELD, f"no id at {self._id_name}")
        text = _string(found)
        if text is None:
            raise _Refused(Poison.WRONG_TYPE, f"the id at {self._id_name} is no text or number")
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


def _record_time(record: Record) -> datetime:
    try:
        if record.timestamp_ms >= 0:  # -1: the producer sent none
            return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return datetime.fromtimestamp(record.received_at, UTC)


def _undecodable(value: bytes, error: Exception) -> tuple[Poison, str]:
    try:
        value.decode()
    except UnicodeDecodeError as first:
        return Poison.NOT_UTF8, f"invalid UTF-8 at byte {first.start}"
    return Poison.NOT_JSON, str(error) if isinstance(error, msgspec.DecodeError) else "not JSON"
