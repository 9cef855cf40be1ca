"""One outcome onto its topic, and what a failed send means for it."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from consumer.dead_letters import Reason, Stage, make_dead_letter
from consumer.records import Emit, Published, Record
from runtime.errors import AccessDenied, Misconfigured, ServiceError
from runtime.kafka.errors import Denied, KafkaFault, RecordRefused, RecordTooLarge, TopicMissing
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import Headers, KafkaProducer
from schemas import DeadLetter
from schemas.headers import dead_letter_headers, trace_context, with_trace_context

_OVERHEAD = 128
"""Bytes that a record batch and a record's own lengths add, rounded up."""


class OutcomeSender:
    """Knows the topics of events and dead letters, and what each may hold."""

    def __init__(
        self,
        options: KafkaOptions,
        *,
        model: Callable[[], str | None] = lambda: None,
        conceal: Callable[[DeadLetter], DeadLetter] = lambda dead_letter: dead_letter,
    ) -> None:
        """`model` gives the model's id, for dead letters; `conceal` is told by `Service`."""
        self._options = options
        self._model = model
        self._conceal = conceal

    async def send(self, producer: KafkaProducer, outcome: Published) -> asyncio.Future[Any]:
        """Hand it over; see `KafkaProducer.send`.

        Raises:
            RecordTooLarge: the event is above the configured bound.
            Exception: what `KafkaProducer.send` raises.
        """
        if isinstance(outcome, DeadLetter):
            outcome = self._conceal(outcome)
            return await producer.send(
                self._options.dlq_topic,
                key=outcome.key,
                value=outcome.value,
                headers=dead_letter_headers(outcome),
            )
        most = self._options.max_request_bytes
        if len(outcome.value) > most // 2:
            size = _size(outcome.key, outcome.value, outcome.headers)
            if size > most:
                raise RecordTooLarge(f"the event takes {size} bytes, {most} are allowed")
        return await producer.send(
            self._options.output_topic,
            key=outcome.key,
            value=outcome.value,
            headers=outcome.headers,
        )

    def failed(
        self, record: Record, outcome: Published, fault: KafkaFault
    ) -> DeadLetter | ServiceError | None:
        """What to do about it: send a dead letter instead, end the service, or (None) try again."""
        topic = self._topic(outcome)
        match fault:
            case RecordRefused() if not isinstance(outcome, DeadLetter):
                large = isinstance(fault, RecordTooLarge)
                name = Reason.TOO_LARGE if large else Reason.REFUSED_BY_BROKER
                poison = make_dead_letter(
                    record, Stage.PUBLISH, name, str(fault), model=self._model()
                )
                return _traced_as(outcome, poison)
            case RecordRefused():
                advice = (
                    "raise that topic's max.message.bytes above the input topics' by 16 KiB for "
                    "the headers"
                    if isinstance(fault, RecordTooLarge)
                    else "the topic must take any record: no compaction, no policy"
                )
                return Misconfigured(
                    f"the dead-letter topic {topic} refuses the record of {record.topic}-"
                    f"{record.partition} at offset {record.offset} ({fault}); it stays "
                    f"uncommitted; {advice}, and start again"
                )
            case TopicMissing():
                return Misconfigured(
                    f"the topic {topic} doesn't exist: `emostream topics create` makes it"
                )
            case Denied():
                return AccessDenied(
                    f"the brokers refuse to let us write to {topic}: {fault}; grant WRITE on it, "
                    "or correct the credentials"
                )
            case _:
                return None

    def _topic(self, outcome: Published) -> str:
        if isinstance(outcome, DeadLetter):
            return self._options.dlq_topic
        return self._options.output_topic


def _traced_as(event: Emit, poison: DeadLetter) -> DeadLetter:
    """Hand the event's trace context on: where tracing is on, it names our span."""
    headers = with_trace_context(poison.headers, trace_context(event.headers))
    return msgspec.structs.replace(poison, headers=headers)


def _size(key: bytes | None, value: bytes, headers: Headers) -> int:
    return (
        _OVERHEAD
        + len(key or b"")
        + len(value)
        + sum(len(name) + len(content or b"") + 10 for name, content in headers)
    )
