"""Kafka headers: CloudEvents on every event, the reasons on every dead letter.

Events carry CloudEvents 1.0 attributes in the binary mode of the Kafka protocol binding (1.0.2):
one `ce_…` header per attribute, the media type as `content-type`, the event itself as the value.
Dead letters carry `__emostream.errors.*`, named after Kafka Connect's `__connect.errors.*`, beside
the headers that the record came with. A W3C trace context is handed from the post to its event.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

import msgspec

from schemas.dead_letter import DeadLetter, Headers

EventHeaders: TypeAlias = tuple[tuple[str, bytes], ...]
"""Headers that we write: a name and a value that is never null."""

ERRORS_PREFIX = "__emostream.errors."
REPLAYS = "__emostream.replays"
"""How often a record has been replayed from a dead-letter topic: a decimal number."""

TRACE_CONTEXT = frozenset({"traceparent", "tracestate"})
"""W3C Trace Context. Where tracing is off, events carry the post's as it is; where it is on, the
consumer's own (`with_trace_context`)."""

DEFAULT_SOURCE = "/emostream"
JSON_CONTENT = b"application/json"


class EventType(msgspec.Struct, frozen=True):
    """What kind of event a record holds: the pair that a reader dispatches on."""

    type: str
    """CloudEvents `type`: reverse DNS with the major version."""
    dataschema: str
    """CloudEvents `dataschema`: the `$id` of the JSON Schema that the value satisfies."""


AFFECT_EVENT = EventType("io.emostream.affect.v1", "urn:emostream:schema:affect-event:v1")


class NotADeadLetterError(ValueError):
    """A record without the `__emostream.errors.*` headers, or with ones that can't be read."""


def event_headers(
    *,
    id: str,  # noqa: A002 - CloudEvents' own name
    subject: str,
    time: datetime,
    record_headers: Iterable[tuple[str, bytes | None]] = (),
    event_type: EventType = AFFECT_EVENT,
    source: str = DEFAULT_SOURCE,
    content_type: bytes = JSON_CONTENT,
) -> EventHeaders:
    """CloudEvents 1.0 headers of one event, and the trace context of the record it came from.

    `id` is the event's id, `subject` what it is about (the post's id), `time` when the reading
    happened (`processed_at`), with an offset. `source` and `id` together name the event: keep
    `source` the same over restarts and members. A few microseconds.
    """
    varying = (
        ("ce_id", id.encode()),
        ("ce_time", time.isoformat().encode()),
        ("ce_subject", _attribute(subject)),
    )
    trace = tuple(
        (name, value)
        for name, value in record_headers
        if name in TRACE_CONTEXT and value is not None
    )
    return _constant(event_type, source, content_type) + varying + trace


def dead_letter_headers(letter: DeadLetter) -> Headers:
    """Headers of a dead letter: the record's own, then the reason.

    A reason that the record brought along (someone copied a dead letter back by hand) is replaced.
    `__emostream.replays` is the record's own and stays: that is how a loop is found.
    """
    reason: list[tuple[str, bytes | None]] = [
        (f"{ERRORS_PREFIX}{name}", _utf8(value))
        for name, value in (
            ("topic", letter.topic),
            ("partition", str(letter.partition)),
            ("offset", str(letter.offset)),
            ("stage", letter.stage),
            ("class.name", letter.class_name),
            ("message", letter.message),
            ("attempts", str(letter.attempts)),
            ("model", letter.model),
            ("first.seen", letter.first_seen.astimezone(UTC).isoformat()),
            ("withheld", "true" if letter.withheld else None),
            ("timestamp", None if letter.timestamp_ms is None else str(letter.timestamp_ms)),
        )
        if value is not None
    ]
    return (*own_headers(letter.headers), *reason)


def with_trace_context(headers: Headers, trace: Headers) -> Headers:
    """Give the headers with this trace context in the place of the one that they have, if any."""
    return (*(header for header in headers if header[0] not in TRACE_CONTEXT), *trace)


def trace_context(headers: Headers) -> Headers:
    """Give the headers that are a trace context's."""
    return tuple(header for header in headers if header[0] in TRACE_CONTEXT)


def read_dead_letter(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]
) -> DeadLetter:
    """The dead letter that a record of a dead-letter topic holds: inverse of the above.

    Raises:
        NotADeadLetterError: a header of the reason is missing or unreadable.
    """
    headers = tuple(headers)
    reason = {
        name.removeprefix(ERRORS_PREFIX): value
        for name, value in headers
        if name.startswith(ERRORS_PREFIX) and value is not None
    }
    try:
        model, timestamp = reason.get("model"), reason.get("timestamp")
        return DeadLetter(
            key=key,
            value=value,
            headers=own_headers(headers),
            topic=reason["topic"].decode(),
            partition=int(reason["partition"]),
            offset=int(reason["offset"]),
            stage=reason["stage"].decode(),
            class_name=reason["class.name"].decode(),
            message=reason["message"].decode(),
            attempts=int(reason["attempts"]),
            model=None if model is None else model.decode(),
            withheld=reason.get("withheld") == b"true",
            first_seen=datetime.fromisoformat(reason["first.seen"].decode()),
            timestamp_ms=None if timestamp is None else int(timestamp),
        )
    except KeyError as error:
        raise NotADeadLetterError(f"no header {ERRORS_PREFIX}{error.args[0]}") from None
    except ValueError as error:
        raise NotADeadLetterError(f"unreadable {ERRORS_PREFIX}* header: {error}") from None


def own_headers(headers: Iterable[tuple[str, bytes | None]]) -> Headers:
    """The headers without the reason of a dead letter: what the record came with."""
    return tuple(header for header in headers if not header[0].startswith(ERRORS_PREFIX))


def replays(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """How often this record has been replayed; 0 where the header is absent or no number."""
    counts = [value for name, value in headers if name == REPLAYS and value is not None]
    return int(counts[-1][:9]) if counts and counts[-1].isdigit() else 0


@lru_cache(maxsize=64)  # one per event type and configured source
def _constant(event_type: EventType, source: str, content_type: bytes) -> EventHeaders:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type.type.encode()),
        ("ce_source", source.encode()),
        ("ce_dataschema", event_type.dataschema.encode()),
        ("content-type", content_type),
    )


def _attribute(value: str) -> bytes:
    """A CloudEvents string: control characters, which it must not hold, become spaces."""
    if value.isprintable():
        return value.encode()
    return "".join(" " if _is_control(c) else c for c in value).encode()


def _is_control(character: str) -> bool:
    return character < "\x20" or "\x7f" <= character <= "\x9f"


def _utf8(text: str) -> bytes:
    # A message quoted from elsewhere may hold lone surrogates; a dead letter must not fail on it.
    return text.encode(errors="backslashreplace")
