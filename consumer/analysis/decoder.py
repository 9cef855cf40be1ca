"""From a record's bytes to a post, or to the reason why not. Never raises on any input."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from consumer.analysis.mapping import Mapping, NotAPost
from consumer.dead_letters import Reason, Stage, make_dead_letter
from consumer.records import Record
from consumer.settings import Fields, Input
from emollm.prompts import is_blank
from schemas import DeadLetter, Post

_Read: TypeAlias = Callable[[Record], Post]


class Decoder:
    """Turns records into posts, by the configured mapping compiled once."""

    def __init__(self, options: Input | None = None) -> None:
        options = options or Input()
        self._max_bytes = options.max_record_bytes
        self._read: _Read = (
            _reader() if options.fields == Fields() else Mapping(options.fields).read
        )
        self._source = options.default_source or None
        self._lang = options.default_lang or None

    def decode(self, record: Record) -> Post | DeadLetter:
        """Give the post, with `created_at` always set, or a dead letter of stage `decode`."""
        value = record.value
        try:
            if value is None:
                raise NotAPost(Reason.NULL_VALUE, "the record has no value (a tombstone)")
            if len(value) > self._max_bytes:
                raise NotAPost(
                    Reason.TOO_LARGE,
                    f"{len(value)} bytes, over the limit of {self._max_bytes}",
                )
            post = self._read(record)
            if is_blank(post.text):
                raise NotAPost(Reason.EMPTY_TEXT, "the text holds nothing visible")
        except NotAPost as error:
            return make_dead_letter(record, Stage.DECODE, error.poison, str(error))
        except msgspec.ValidationError as error:
            missing = "missing required field" in str(error)
            poison = Reason.MISSING_FIELD if missing else Reason.WRONG_TYPE
            return make_dead_letter(record, Stage.DECODE, poison, str(error))
        except (msgspec.DecodeError, UnicodeError) as error:
            return make_dead_letter(record, Stage.DECODE, *_undecodable(value or b"", error))
        except RecursionError:
            return make_dead_letter(
                record, Stage.DECODE, Reason.TOO_DEEP, "nested too deep to be read"
            )
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


def _record_time(record: Record) -> datetime:
    try:
        if record.timestamp_ms >= 0:  # -1: the producer sent none
            return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return datetime.fromtimestamp(record.received_at, UTC)


def _undecodable(value: bytes, error: Exception) -> tuple[Reason, str]:
    try:
        value.decode()
    except UnicodeDecodeError as first:
        return Reason.NOT_UTF8, f"invalid UTF-8 at byte {first.start}"
    return Reason.NOT_JSON, str(error) if isinstance(error, msgspec.DecodeError) else "not JSON"
