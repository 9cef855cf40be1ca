"""From a record's bytes to a post, to a skip, or to the reason why neither. Never raises."""

from datetime import UTC, datetime

import msgspec

from consumer.analysis.selection import TOMBSTONE, Selection
from consumer.dead_letters import Reason, Stage, make_dead_letter
from consumer.records import Record, Skip
from consumer.settings import Fields, Input
from emollm.prompts import is_blank
from runtime.registry.errors import Undecodable
from runtime.registry.framing import read_framing
from runtime.registry.reading import SchemaReader
from schemas import DeadLetter, Post
from schemas.foreign import (
    PRESETS,
    FieldPaths,
    NotAPost,
    PostReader,
    looks_like_html,
    name_framing,
)

_PROBLEMS = {
    "missing": Reason.MISSING_FIELD,
    "wrong_type": Reason.WRONG_TYPE,
    "not_utf8": Reason.NOT_UTF8,
}


_FRAMING_PROBLEMS = {
    "unknown_schema": Reason.UNKNOWN_SCHEMA,
    "not_its_schema": Reason.NOT_ITS_SCHEMA,
}


class _Refused(Exception):  # noqa: N818 - what it is, not that it is an error
    """A record that won't become an event. The message never quotes it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Decoded(msgspec.Struct, frozen=True):
    """A post, with `created_at` always set, and where that is from."""

    post: Post
    time_from_record: bool
    """The post names no time that can be read: it is the record's."""
    unreadable_time: bool = False
    """It names one, in a form that nobody knows."""


class Decoder:
    """Turns records into posts, by the configured shape compiled once."""

    def __init__(
        self, options: Input | None = None, *, schemas: SchemaReader | None = None
    ) -> None:
        """`schemas` reads what a schema registry frames; each record's schema is known by then."""
        self._schemas = schemas
        self._options = options = options or Input()
        fields = options.fields
        self._selection = Selection(options)
        self._preset = PRESETS[options.preset] if options.preset else None
        self._reader = PostReader(
            FieldPaths(**fields.model_dump()),
            preset=self._preset,
            overridden=frozenset(fields.model_fields_set),
            html=options.html,
            default_source=options.default_source or None,
            default_lang=options.default_lang or None,
        )
        self._decode_post = msgspec.json.Decoder(Post).decode
        self._decode_any = msgspec.json.Decoder().decode
        self._fast = fields == Fields() and not self._selection.looks_at_records
        self._defaults = bool(options.default_source or options.default_lang)

    def decode(self, record: Record) -> Decoded | Skip | DeadLetter:
        """Give the post, the rule that skips it, or a dead letter of stage `decode`."""
        value = record.value
        if value is None:
            return Skip(TOMBSTONE)
        try:
            return self._read(record, value)
        except _Refused as error:
            reason, message = error.reason, str(error)
        except NotAPost as error:
            reason, message = _PROBLEMS[error.problem], str(error)
        except msgspec.ValidationError as error:  # a number out of range, say
            reason, message = Reason.WRONG_TYPE, str(error)
        except (msgspec.DecodeError, UnicodeError) as error:
            reason, message = _undecodable(value, error)
        except Undecodable as error:
            reason, message = _FRAMING_PROBLEMS[error.problem], str(error)
        except RecursionError:
            reason, message = Reason.TOO_DEEP, "nested too deep to be read"
        return make_dead_letter(record, Stage.DECODE, reason, message)

    def _read(self, record: Record, value: bytes) -> Decoded | Skip:
        most = self._options.max_record_bytes
        if len(value) > most:
            raise _Refused(
                Reason.TOO_LARGE,
                f"{len(value)} bytes, over the limit of {most} (input.max_record_bytes)",
            )
        if self._schemas is not None:
            framed = read_framing(value, record.headers)
            if framed is not None:
                value = self._schemas.decode(value, framed)
        found = self._read_any(record, value)
        if isinstance(found, Skip):
            return found
        if (rule := self._selection.of_post(found.post)) is not None:
            return Skip(rule)
        if is_blank(found.post.text):
            raise _Refused(Reason.EMPTY_TEXT, "the text holds nothing visible")
        return found

    def _read_any(self, record: Record, value: bytes) -> Decoded | Skip:
        post = self._read_fast(value) if self._fast else None
        unreadable = False
        if post is None:
            tree = self._decode_any(value)
            if isinstance(tree, dict):
                if self._preset is not None:
                    tree = self._preset.unwrap(tree)
                if (rule := self._selection.of_record(tree)) is not None:
                    return Skip(rule)
            position = f"{record.topic}/{record.partition}/{record.offset}"
            read = self._reader.read(tree, position=position, key=record.key)
            post, unreadable = read.post, read.unreadable_time
        if post.created_at is not None:
            return Decoded(post, time_from_record=False)
        post = msgspec.structs.replace(post, created_at=_record_time(record))
        return Decoded(post, time_from_record=True, unreadable_time=unreadable)

    def _read_fast(self, value: bytes) -> Post | None:
        """Read a record that is a `Post` as it is; None for all that takes a second look."""
        try:
            post = self._decode_post(value)
        except msgspec.ValidationError:
            return None
        if "" in (post.source, post.author, post.lang, post.url) or self._defaults:
            return None
        return None if looks_like_html(post.text) else post


def _record_time(record: Record) -> datetime:
    try:
        if record.timestamp_ms >= 0:  # -1: the producer sent none
            return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return datetime.fromtimestamp(record.received_at, UTC)


def _undecodable(value: bytes, error: Exception) -> tuple[Reason, str]:
    if (framing := name_framing(value)) is not None:
        return Reason.NOT_JSON, framing
    try:
        value.decode()
    except UnicodeDecodeError as first:
        return Reason.NOT_UTF8, f"invalid UTF-8 at byte {first.start}"
    return Reason.NOT_JSON, str(error) if isinstance(error, msgspec.DecodeError) else "not JSON"
