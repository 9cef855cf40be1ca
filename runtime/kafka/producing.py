"""Sending: bounded in flight, bounded in time, every delivery report counted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from runtime.kafka import fast_lz4, unclosed, unread
from runtime.kafka.connection import Broker, unreachable
from runtime.kafka.errors import DeliveryStalled, TopicMissing
from runtime.kafka.partitioning import partition_of
from runtime.kafka.protocol import Headers
from runtime.kafka.stopping import stop_producer
from runtime.spelling import closest

_MAX_REQUEST_BYTES = 16 * 1024 * 1024
"""Of one record before compression. The broker has its own limit, on what is left after it."""

_METADATA_S = 10.0
"""A topic that exists, or is created on demand, is known within a few metadata requests."""

_STOP_S = 2.0
"""For closing connections; what is in flight has been waited for before."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How records are handed over."""

    max_in_flight: int = 1_000
    """Records sent and not yet acknowledged; 1,000 keep a broker busy and fit a few MB."""
    timeout_s: float = 30.0
    """Without any acknowledgement for this long the run ends as a failure: an idempotent
    producer itself would try without end."""
    compression: str | None = "lz4"
    """`gzip`, `snappy`, `lz4`, `zstd` or None."""
    linger_ms: int = 5
    """How long the first record of a batch waits for company."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One record on its way to Kafka."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None
    """The record's timestamp; None for the time of sending."""
    kind: str | None = None
    """What it was made as (load), for the count by kind."""


class _EmptyRecordError(Exception):
    """A record with neither key nor value."""


class RecordProducer(Protocol):
    """The part of `AIOKafkaProducer` that is used here: the seam for fakes."""

    async def send(
        self,
        topic: str,
        *,
        value: bytes | None = None,
        key: bytes | None = None,
        timestamp_ms: int | None = None,
        headers: Any = None,
    ) -> "asyncio.Future[Any]":
        """Take a record; the future ends with its delivery report."""


class BoundedProducer:
    """Bounded, counted sends through one producer.

    Every record that `send` took is in exactly one of `acked`, `failed` and `in_flight`.
    """

    def __init__(self, producer: RecordProducer, delivery: Delivery | None = None) -> None:
        delivery = delivery or Delivery()
        if delivery.max_in_flight < 1:
            raise ValueError("max_in_flight must be at least 1")
        self._producer = producer
        self._max_in_flight = delivery.max_in_flight
        self._timeout_s = delivery.timeout_s
        self._progress = asyncio.Event()
        self.in_flight = 0
        """Sent and not yet acknowledged or refused."""
        self.acked = 0
        """Acknowledged by the broker, with its in-sync replicas."""
        self.failed = 0
        """Refused, by the client or by the broker: not written."""
        self.errors: Counter[str] = Counter()
        """Class of the delivery error to how often."""

    async def send(
        self,
        record: Outgoing,
        on_ack: Callable[[], None] | None = None,
        on_fail: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Hand over one record, after waiting for room; `on_ack` is called once it is written.

        A record that Kafka refuses counts as failed, `on_fail` is called, and sending goes on.

        Raises:
            DeliveryStalled: nothing was acknowledged for the delivery timeout.
        """
        if record.key is None and record.value is None:
            self._fail(_EmptyRecordError(), on_fail)  # aiokafka can't write one
            return
        while self.in_flight >= self._max_in_flight:
            await self._acknowledgement()
        try:
            async with asyncio.timeout(self._timeout_s):
                report = await self._producer.send(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    timestamp_ms=record.timestamp_ms,
                    headers=list(record.headers),
                )
        except MessageSizeTooLargeError as error:
            self._fail(error, on_fail)
        except (KafkaError, TimeoutError) as error:
            self._fail(error)
            raise DeliveryStalled(
                f"topic {record.topic} took no record for {self._timeout_s:g} s"
                f" ({type(error).__name__})"
            ) from error
        else:
            self.in_flight += 1
            report.add_done_callback(partial(self._reported, on_ack, on_fail))

    async def drain(self) -> None:
        """Return when every record has its delivery report.

        Raises:
            DeliveryStalled: nothing was acknowledged for the delivery timeout.
        """
        while self.in_flight:
            await self._acknowledgement()

    async def _acknowledgement(self) -> None:
        self._progress.clear()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._progress.wait()
        except TimeoutError:
            raise DeliveryStalled(
                f"no acknowledgement for {self._timeout_s:g} s,"
                f" {self.in_flight} records in flight: is the broker up?"
            ) from None

    def _reported(
        self,
        on_ack: Callable[[], None] | None,
        on_fail: Callable[[BaseException], None] | None,
        report: "asyncio.Future[Any]",
    ) -> None:
        self.in_flight -= 1
        self._progress.set()
        if report.cancelled():
            self._fail(asyncio.CancelledError(), on_fail)
        elif error := report.exception():
            self._fail(error, on_fail)
        else:
            self.acked += 1
            if on_ack:
                on_ack()

    def _fail(
        self, error: BaseException, on_fail: Callable[[BaseException], None] | None = None
    ) -> None:
        self.failed += 1
        self.errors[type(error).__name__.lstrip("_")] += 1
        if on_fail:
            on_fail(error)


@asynccontextmanager
async def kafka_producer(
    broker: Broker, delivery: Delivery | None = None, *, topics: Iterable[str] = ()
) -> AsyncIterator[RecordProducer]:
    """Yield an idempotent producer (acks=all), started, with `topics` known to exist.

    Raises:
        Unreachable: no broker answers, or it refuses the credentials.
        TopicMissing: one of `topics` doesn't exist.
    """
    delivery = delivery or Delivery()
    unread.install()
    unclosed.install()
    fast_lz4.install()
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap,
        enable_idempotence=True,
        acks="all",
        compression_type=delivery.compression,
        linger_ms=delivery.linger_ms,
        partitioner=partition_of,
        max_request_size=_MAX_REQUEST_BYTES,
        **broker.security,
    )
    try:
        await _start(producer, broker)
        for topic in topics:
            await _require(producer, topic)
        yield producer
    finally:
        # A broker may be away: flushing would wait for it without end.
        await stop_producer(producer, within_s=_STOP_S)


async def _start(producer: AIOKafkaProducer, broker: Broker) -> None:
    try:
        async with asyncio.timeout(_METADATA_S):
            await producer.start()
    except (KafkaError, TimeoutError, OSError) as error:
        raise await unreachable(broker, error) from error


async def _require(producer: AIOKafkaProducer, topic: str) -> None:
    try:
        async with asyncio.timeout(_METADATA_S):
            await producer.partitions_for(topic)
    except (KafkaError, TimeoutError) as error:
        near = closest(topic, await _topics(producer))
        raise TopicMissing(
            f"there is no topic {topic}{f' (did you mean {near}?)' if near else ''};"
            " create it with: emostream topics create"
        ) from error


async def _topics(producer: AIOKafkaProducer) -> set[str]:
    """Names of the topics that may be seen; none where they can't be told."""
    try:
        async with asyncio.timeout(_STOP_S):
            return set((await producer.client.fetch_all_metadata()).topics())
    except (KafkaError, TimeoutError):
        return set()
