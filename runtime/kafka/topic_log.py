"""A topic read from end to end, once, without joining a group: under the dead-letter tools."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from runtime.kafka import offset_fetches, record_batches, unclosed
from runtime.kafka.connection import Broker, unreachable
from runtime.kafka.errors import ReadingStalled, TopicMissing
from runtime.kafka.ordered import OrderedReader
from runtime.kafka.protocol import Headers
from runtime.kafka.stopping import stop_consumer
from runtime.kafka.topic_facts import retention_ms, topic_facts
from runtime.spelling import did_you_mean

_T = TypeVar("_T")

_START_S = 10.0
_STOP_S = 2.0
_POLL_MS = 500
_STALL_S = 30.0
"""Without a step forward for this long, before the end that the broker named, reading fails."""


class Span(NamedTuple):
    """A stretch of one partition."""

    start: int
    end: int
    """One past the last offset."""


class StoredRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it is on a topic."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class TopicLog(Protocol):
    """One topic, bounded by what it held when it was asked."""

    async def spans(self, *, since: datetime | None = None) -> dict[int, Span]:
        """What each partition holds now; from the group's committed offset where there is one.

        `since` leaves out what was written before (not together with a group).
        """

    def read(self, spans: Mapping[int, Span]) -> AsyncIterator[StoredRecord]:
        """Yield the records of these spans; in order within a partition.

        Raises (while iterating):
            ReadingStalled: the broker stopped giving records before the end.
        """

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the next offset to be read of each partition, for the group."""

    async def retention_ms(self, topic: str) -> int | None:
        """The retention.ms of any topic; None if it doesn't delete by records' own timestamps."""


class KafkaTopicLog:
    """`TopicLog` on Kafka; made by `kafka_topic_log`."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions

    async def spans(self, *, since: datetime | None = None) -> dict[int, Span]:
        """What each partition holds now; see `TopicLog`."""
        consumer = self._consumer
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(self._partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(self._partitions)
        if since is not None:
            moment = max(0, int(since.timestamp() * 1000))
            found = await consumer.offsets_for_times(dict.fromkeys(self._partitions, moment))
            starts = {tp: at.offset if at else ends[tp] for tp, at in found.items()}
        if consumer._group_id is not None:  # noqa: SLF001 - what it was made with
            for tp in self._partitions:
                committed = await consumer.committed(tp)
                starts[tp] = max(starts[tp], committed or 0)
        return {tp.partition: Span(starts[tp], ends[tp]) for tp in self._partitions}

    async def held(self) -> dict[int, Span]:
        """What each partition holds now, whatever a group has committed."""
        starts = await self._consumer.beginning_offsets(self._partitions)
        ends = await self._consumer.end_offsets(self._partitions)
        return {tp.partition: Span(starts[tp], ends[tp]) for tp in self._partitions}

    async def committed(self) -> dict[int, tuple[int, str]]:
        """The group's committed offset of each partition that has one, and the note beside it."""
        coordinator = self._consumer._coordinator  # noqa: SLF001 - the public way drops the note
        found = await coordinator.fetch_committed_offsets(self._partitions)
        return {
            tp.partition: (at.offset, at.metadata) for tp, at in found.items() if at.offset >= 0
        }

    async def offsets_at(self, moment: datetime) -> dict[int, int]:
        """The first offset of each partition whose record was written then or later, else its end.

        By the records' timestamps, Kafka's own index, which begins in 1970.
        """
        asked = dict.fromkeys(self._partitions, max(0, int(moment.timestamp() * 1000)))
        found = await self._consumer.offsets_for_times(asked)
        ends = await self._consumer.end_offsets(self._partitions)
        return {tp.partition: at.offset if at else ends[tp] for tp, at in found.items()}

    async def retention_ms(self, topic: str) -> int | None:
        """The retention.ms of any topic; see `TopicLog`. None, too, if no broker answers."""
        try:
            client = self._consumer._client  # noqa: SLF001 - no public way
            return await retention_ms(client, topic)
        except KafkaError:
            return None

    async def partitions(self) -> int:
        """How many partitions the topic has by now; those read were there when it was opened."""
        cluster = await self._consumer._client.fetch_all_metadata()  # noqa: SLF001 - as above
        return len(cluster.partitions_for_topic(self._partitions[0].topic) or ())

    async def topic_id(self) -> str:
        """The topic's id, which it doesn't keep when it is created again; empty if not told."""
        topic = self._partitions[0].topic
        client = self._consumer._client  # noqa: SLF001 - the public ways don't ask for it
        facts = await topic_facts(client, [topic])
        return facts[topic].id if topic in facts else ""

    def reader(
        self, starts: Mapping[int, int], decode: Callable[[Any], tuple[float, _T]]
    ) -> OrderedReader[_T]:
        """Read on without an end, all partitions merged by the time that `decode` gives."""
        at = {tp: starts[tp.partition] for tp in self._partitions}
        return OrderedReader(self._consumer, at, decode)

    async def read(self, spans: Mapping[int, Span]) -> AsyncGenerator[StoredRecord, None]:
        """Yield the records of these spans; see `TopicLog`."""
        left = {
            tp: spans[tp.partition].end
            for tp in self._partitions
            if tp.partition in spans and spans[tp.partition].start < spans[tp.partition].end
        }
        for tp in self._partitions:
            if tp in left:
                self._consumer.resume(tp)
                self._consumer.seek(tp, spans[tp.partition].start)
            else:
                self._consumer.pause(tp)
        loop = asyncio.get_running_loop()
        moved_at = loop.time()
        positions: dict[TopicPartition, int] = {}
        while left:
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS)
            for tp, records in batches.items():
                for record in records:
                    if record.offset < left.get(tp, 0):
                        yield _stored(record)
            before, positions = positions, {tp: await self._position(tp) for tp in left}
            # The position also steps over transaction markers, which are never handed out.
            for tp in [tp for tp, end in left.items() if positions[tp] >= end]:
                del left[tp]
                self._consumer.pause(tp)
            if positions != before:
                moved_at = loop.time()
            elif loop.time() - moved_at > _STALL_S:
                raise ReadingStalled(f"no records for {_STALL_S:g} s, before the end of the topic")

    async def in_order(
        self, spans: Mapping[int, Span], *, follow: bool = False
    ) -> AsyncGenerator[StoredRecord, None]:
        """Yield the records of these spans, all partitions merged by the records' timestamps.

        Within a partition the log's order is kept. With `follow` it goes on past the spans' ends,
        with what is written from now on, and never ends.

        Raises (while iterating):
            ReadingStalled: the broker stopped giving records before the end.
        """
        starts = {tp: spans[tp.partition].start for tp in self._partitions}
        reader = OrderedReader(
            self._consumer, starts, lambda record: (record.timestamp, _stored(record))
        )
        loop = asyncio.get_running_loop()
        moved_at = loop.time()
        while follow or any(at < spans[tp.partition].end for tp, at in reader.positions.items()):
            before = dict(reader.positions)
            for record in await reader.take(timeout_s=_POLL_MS / 1000):
                if follow or record.offset < spans[record.partition].end:
                    yield record
            if reader.positions != before:
                moved_at = loop.time()
            elif not follow and loop.time() - moved_at > _STALL_S:
                raise ReadingStalled(f"no records for {_STALL_S:g} s, before the end of the topic")

    async def _position(self, tp: TopicPartition) -> int:
        return int(await self._consumer.position(tp))

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit for the group; see `TopicLog`."""
        topic = self._partitions[0].topic
        if offsets:
            await self._consumer.commit(
                {TopicPartition(topic, partition): offset for partition, offset in offsets.items()}
            )


@asynccontextmanager
async def kafka_topic_log(
    topic: str, broker: Broker, *, group: str | None = None
) -> AsyncIterator[KafkaTopicLog]:
    """Yield one topic, all of its partitions assigned by hand: no member of a group is disturbed.

    With `group` its committed offsets are the start, and can be moved; nothing is committed
    by itself.

    Raises:
        Unreachable: no broker answers, or it refuses the credentials.
        TopicMissing: there is no such topic.
    """
    record_batches.install()
    offset_fetches.install()
    unclosed.install()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        **broker.security,
    )
    try:
        try:
            async with asyncio.timeout(_START_S):
                await consumer.start()
                # Public are only the names of all topics, or partitions of subscribed ones.
                cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001
        except (KafkaError, TimeoutError, OSError) as error:
            raise await unreachable(broker, error) from error
        numbers = cluster.partitions_for_topic(topic)
        if not numbers:
            raise TopicMissing(f"there is no topic {topic}{did_you_mean(topic, cluster.topics())}")
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        reading: Any = consumer
        if broker.values is not None and broker.values.reads(topic):
            reading = broker.values.over(consumer)
        yield KafkaTopicLog(reading, partitions)
    finally:
        await stop_consumer(consumer, within_s=_STOP_S)


def _stored(record: Any) -> StoredRecord:
    return StoredRecord(
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )
