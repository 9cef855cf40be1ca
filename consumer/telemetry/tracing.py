"""What the consumer's traces say: one for each batch, by OpenTelemetry's semantic conventions.

Names and values are of semconv 1.44 (messaging and gen_ai are in development there); what it has
no name for begins with `emostream.`. Never a post's text, a prompt, an answer, a key or a handle.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from consumer.records import Record
from emollm.errors import ModelError
from emollm.protocol import Generation, Prompt, PromptTrace, ServerInfo
from runtime.telemetry.trace_context import TraceContext, read_trace_context
from runtime.telemetry.tracing import Span, Tracer, Value
from schemas.headers import EventHeaders

_MAX_POSITIONS: Final = 16
"""Partitions that a span names; a batch of 64 posts seldom has more."""
_CALLED_OFF: Final = "called_off"
"""`error.type` of a request that was ended before its answer: another server was faster, its batch
was given up, its server was found to fail."""


class BatchTracing:
    """A `consumer.tracing.Tracing`."""

    def __init__(self, tracer: Tracer, *, group: str, events_topic: str, dlq_topic: str) -> None:
        self._tracer = tracer
        self._group = group
        self._topics = {False: events_topic, True: dlq_topic}

    def batch(self, records: Sequence[Record]) -> "_Batch":
        """Begin its trace, linked to those of its records' producers."""
        contexts: dict[tuple[int, int], TraceContext] = {}
        for record in records:
            if record.headers:
                found = read_trace_context(record.headers)
                if found is not None:
                    contexts[record.epoch, record.offset] = found
        topics = {record.topic for record in records}
        name = f"process {topics.pop()}" if len(topics) == 1 else "process"
        span = self._tracer.begin(name, "consumer", {}, tuple(contexts.values()))
        batch = _Batch(span, self._topics, contexts)
        if span.sampled_for is not None:
            batch.attributes.update(_of_batch(records, self._group))
        return batch


class _Batch:
    """One batch under way. A `consumer.tracing.BatchTrace`."""

    def __init__(
        self,
        span: Span,
        topics: dict[bool, str],
        contexts: dict[tuple[int, int], TraceContext],
    ) -> None:
        self._span = span
        self._topics = topics
        self._followed = {key for key, context in contexts.items() if context.sampled}
        self._requests = _Requests(span)
        # To be sampled or not is a record's: an event of another post of a batch that is recorded
        # for one post's sake must not have all that comes after it recorded, too.
        own = span.context
        self._unsampled = _headers(own._replace(sampled=False))
        self.unrecorded = self._unsampled if span.sampled_for is None else None
        """What its events and dead letters carry where nothing of it is recorded."""
        self._counts = {False: 0, True: 0}
        self._skipped = 0
        self._ended = False
        self.attributes: dict[str, Value] = {}
        """What its span says at its end."""

    def of(self, record: Record) -> PromptTrace | None:
        """Give who records the requests for it; nobody where it isn't sampled."""
        return self._requests if self._is_sampled(record) else None

    def send(self, records: Sequence[Record], *, dead_letters: bool) -> "_Send":
        """Begin the span of some outcomes' publishing."""
        self._counts[dead_letters] += len(records)
        span = self._span
        if any(map(self._is_sampled, records)):
            topic = self._topics[dead_letters]
            span = span.child(
                f"send {topic}",
                "producer",
                {
                    "messaging.system": "kafka",
                    "messaging.operation.type": "send",
                    "messaging.operation.name": "send",
                    "messaging.destination.name": topic,
                    "messaging.batch.message_count": len(records),
                },
            )
        return _Send(self, span)

    def skipped(self, records: int) -> None:
        """Count records that were no posts."""
        self._skipped += records

    def end(self, error: str | None = None) -> None:
        """End its span, once."""
        if self._ended:
            return
        self._ended = True
        counted = {
            "emostream.batch.events": self._counts[False],
            "emostream.batch.dead_letters": self._counts[True],
            "emostream.batch.skipped": self._skipped,
        }
        self._span.end(self.attributes | counted, error=error)

    def headers(self, record: Record, sampled: EventHeaders) -> EventHeaders:
        """Give `sampled` for a record that is; a context that nobody records for another one."""
        return sampled if self._is_sampled(record) else self._unsampled

    def _is_sampled(self, record: Record) -> bool:
        reason = self._span.sampled_for
        return reason == "ratio" or (
            reason is not None and (record.epoch, record.offset) in self._followed
        )


class _Send:
    """Some outcomes being published. A `consumer.tracing.SendTrace`."""

    def __init__(self, batch: _Batch, span: Span) -> None:
        self._batch = batch
        self._span = None if span is batch._span else span  # noqa: SLF001 - its own class
        self._sampled = _headers(span.context)

    def headers(self, record: Record) -> EventHeaders:
        """Give what this record's event or dead letter carries."""
        return self._batch.headers(record, self._sampled)

    def end(self, error: str | None) -> None:
        """End its span, if it has one of its own."""
        if self._span is not None:
            self._span.end({}, error=error)


class _Requests:
    """Records requests to model servers as parts of a batch. An `emollm.protocol.PromptTrace`."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def request(
        self, prompt: Prompt, *, server: str, attempt: int, info: ServerInfo | None
    ) -> "_Request":
        """Begin a request's span."""
        model = "" if info is None else info.model_id
        address = urlsplit(server)
        attributes: dict[str, Value] = {
            "gen_ai.operation.name": "text_completion",
            "gen_ai.provider.name": "unknown" if info is None else info.dialect,
            "gen_ai.request.model": model,
            "gen_ai.request.max_tokens": prompt.params.max_new_tokens,
            "server.address": address.hostname or "",
            "emostream.task": prompt.task,
        }
        if address.port is not None:
            attributes["server.port"] = address.port
        if attempt > 1:
            attributes["http.request.resend_count"] = attempt - 1
        name = f"text_completion {model}".rstrip()
        return _Request(self._span.child(name, "client", attributes))


class _Request:
    """One request under way. An `emollm.protocol.RequestTrace`."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, answer: Generation | ModelError | None) -> None:
        """End its span with what came of it: tokens where the server tells, or the error."""
        if answer is None:
            self._span.end({}, error=_CALLED_OFF)
            return
        known: dict[str, Value] = {}
        if isinstance(answer, Generation):
            if answer.prompt_tokens is not None:
                known["gen_ai.usage.input_tokens"] = answer.prompt_tokens
            if answer.generated_tokens is not None:
                known["gen_ai.usage.output_tokens"] = answer.generated_tokens
            if answer.finish_reason is not None:
                known["gen_ai.response.finish_reasons"] = (answer.finish_reason,)
            self._span.end(known)
            return
        if answer.status is not None:
            known["http.response.status_code"] = answer.status
        self._span.end(known, error=type(answer).__name__)


def _headers(context: TraceContext) -> EventHeaders:
    # No tracestate: a producer's belongs to the producer's trace, and this is another one.
    return (("traceparent", context.traceparent),)


def _of_batch(records: Sequence[Record], group: str) -> dict[str, Value]:
    spans: dict[tuple[str, int], tuple[int, int]] = {}
    for record in records:
        place = record.topic, record.partition
        first, last = spans.get(place, (record.offset, record.offset))
        spans[place] = min(first, record.offset), max(last, record.offset)
    found: dict[str, Value] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.consumer.group.name": group,
        "messaging.batch.message_count": len(records),
        "emostream.batch.positions": [
            f"{topic}-{partition}:{first}-{last}"
            for (topic, partition), (first, last) in list(spans.items())[:_MAX_POSITIONS]
        ],
    }
    if len({topic for topic, _ in spans}) == 1:
        found["messaging.destination.name"] = records[0].topic
    if len(spans) == 1:
        found["messaging.destination.partition.id"] = str(records[0].partition)
        found["messaging.kafka.offset"] = min(record.offset for record in records)
    return found
