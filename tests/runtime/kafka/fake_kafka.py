"""Kafka in memory: one broker, topics with gaps, groups that rebalance eagerly, and its moods."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from runtime.clock import Clock, SystemClock
from runtime.kafka.errors import (
    Fenced,
    KafkaFault,
    ProducerLost,
    RecordTooLarge,
    TopicMissing,
    Unreachable,
)
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import ConsumedRecord, Headers, Partition, RebalanceListener


@dataclass(frozen=True)
class FakeRecord:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass
class FakeLog:
    records: list[FakeRecord] = field(default_factory=list)
    end: int = 0

    def append(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> int:
        offset, self.end = self.end, self.end + 1
        self.records.append(FakeRecord(offset, 1_600_000_000_000, key, value, tuple(headers)))
        return offset

    def skip(self, count: int = 1) -> None:
        """Leave a gap, as a transaction's marker or compaction does."""
        self.end += count


@dataclass
class FakeGroup:
    committed: dict[Partition, int] = field(default_factory=dict)
    members: list["FakeConsumer"] = field(default_factory=list)
    generation: int = 0


class FakeKafka:
    """The cluster. Make clients with `brokers`."""

    def __init__(self, topics: Mapping[str, int], clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.logs = {
            Partition(topic, number): FakeLog()
            for topic, count in topics.items()
            for number in range(count)
        }
        self.groups: dict[str, FakeGroup] = defaultdict(FakeGroup)
        self.commits: list[dict[Partition, int]] = []
        self.on_commit: Callable[[Partition, int], None] = lambda _partition, _offset: None
        # Moods.
        self.commit_faults: list[KafkaFault] = []
        self.commit_hangs = False
        self.max_bytes: dict[str, int] = {}
        self.held_topics: set[str] = set()
        """Sends to these are acknowledged only by `acknowledge`."""
        self.send_faults: list[KafkaFault] = []
        """What the next sends fail with, whatever they hold."""
        self.start_faults: list[KafkaFault] = []
        self.fetch_faults: list[KafkaFault] = []
        self.all_stuck = False
        """No consumer delivers anything, and none says why."""
        self.consumers: list[FakeConsumer] = []
        self.producers: list[FakeProducer] = []
        self._held: list[tuple[str, asyncio.Future[Any], Any]] = []

    def produce(self, topic: str, values: Iterable[bytes | None], partition: int = 0) -> None:
        for value in values:
            self.logs[Partition(topic, partition)].append(None, value)
        self.wake()

    def values(self, topic: str) -> list[bytes | None]:
        return [
            record.value
            for partition, log in sorted(self.logs.items())
            if partition.topic == topic
            for record in log.records
        ]

    def wake(self) -> None:
        for consumer in self.consumers:
            consumer.arrived.set()

    def acknowledge(self, topic: str, most: int = 1_000_000) -> int:
        """Acknowledge what is held for a topic, the oldest first; give how many."""
        ready = [held for held in self._held if held[0] == topic][:most]
        self._held = [held for held in self._held if held not in ready]
        for _, future, write in ready:
            write()
            if not future.done():
                future.set_result(None)
        return len(ready)

    def hold(self, topic: str, future: asyncio.Future[Any], write: Any) -> None:
        self._held.append((topic, future, write))

    def brokers(self, options: KafkaOptions) -> "FakeBrokers":
        return FakeBrokers(self, options)

    async def rebalance(self, group_id: str) -> None:
        """Eagerly: everyone lets go of everything, then gets a share."""
        group = self.groups[group_id]
        await asyncio.gather(*(member.revoke() for member in group.members))
        group.generation += 1
        partitions = sorted(
            partition for partition in self.logs if any(m.wants(partition) for m in group.members)
        )
        shares: list[set[Partition]] = [set() for _ in group.members]
        for index, partition in enumerate(partitions):
            shares[index % len(shares)].add(partition)
        for member, share in zip(list(group.members), shares, strict=True):
            await member.assign(frozenset(share), group.generation)


class FakeBrokers:
    def __init__(self, kafka: FakeKafka, options: KafkaOptions) -> None:
        self._kafka = kafka
        self._options = options

    def consumer(self) -> "FakeConsumer":
        return FakeConsumer(self._kafka, self._options)

    def producer(self) -> "FakeProducer":
        return FakeProducer(self._kafka)


class FakeConsumer:
    def __init__(self, kafka: FakeKafka, options: KafkaOptions) -> None:
        self._kafka = kafka
        self._options = options
        self._listener: RebalanceListener | None = None
        self._assigned: frozenset[Partition] = frozenset()
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._generation = -1
        self._stable = asyncio.Event()
        self._joining: asyncio.Task[None] | None = None
        self.arrived = asyncio.Event()
        self.stuck = False
        self.stopped = False
        self.polls = 0

    # The seam.

    async def start(self) -> None:
        if self._kafka.start_faults:
            raise self._kafka.start_faults.pop(0)
        self._kafka.consumers.append(self)

    async def topics(self) -> set[str]:
        return {partition.topic for partition in self._kafka.logs}

    def subscribe(self, listener: RebalanceListener) -> None:
        self._listener = listener
        self._kafka.groups[self._options.group_id].members.append(self)
        self._joining = asyncio.ensure_future(self._kafka.rebalance(self._options.group_id))

    async def getmany(
        self, *, timeout_s: float, max_records: int
    ) -> Mapping[Partition, Sequence[ConsumedRecord]]:
        self.polls += 1
        await self._stable.wait()
        if self._kafka.fetch_faults:
            raise self._kafka.fetch_faults.pop(0)
        fetched = self._read(max_records)
        if fetched:
            return fetched
        self.arrived.clear()
        timer = self._kafka.clock.call_later(timeout_s, self.arrived.set)
        try:
            await self.arrived.wait()
        finally:
            timer.cancel()
        return self._read(max_records) if self._stable.is_set() else {}

    def assignment(self) -> frozenset[Partition]:
        return self._assigned

    def pause(self) -> None:
        self._paused |= self._assigned

    def resume(self) -> None:
        self._paused -= self._assigned
        self.arrived.set()

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        kafka = self._kafka
        if kafka.commit_hangs:
            await asyncio.get_running_loop().create_future()
        if kafka.commit_faults:
            raise kafka.commit_faults.pop(0)
        group = kafka.groups[self._options.group_id]
        if self._generation != group.generation or not set(offsets) <= self._assigned:
            raise Fenced("not of this generation")
        for partition, offset in offsets.items():
            kafka.on_commit(partition, offset)
        group.committed.update(offsets)
        kafka.commits.append(dict(offsets))

    def position(self, partition: Partition) -> int | None:
        return self._positions.get(partition)

    def high_water(self, partition: Partition) -> int | None:
        return self._kafka.logs[partition].end if partition in self._assigned else None

    async def end_offsets(
        self, partitions: Iterable[Partition], *, timeout_s: float
    ) -> dict[Partition, int]:
        return {partition: self._kafka.logs[partition].end for partition in partitions}

    async def stop(self) -> None:
        self.stopped = True
        group = self._kafka.groups[self._options.group_id]
        if self in group.members:
            group.members.remove(self)
            self._stable.clear()
            self._assigned = frozenset()
            if group.members:
                await self._kafka.rebalance(self._options.group_id)

    # The cluster's side.

    def wants(self, partition: Partition) -> bool:
        pattern = self._options.input_pattern
        if pattern is not None:
            return re.fullmatch(pattern, partition.topic) is not None
        return partition.topic in self._options.input_topics

    async def revoke(self) -> None:
        self._stable.clear()
        assert self._listener is not None
        await self._listener.on_revoked(self._assigned)

    async def assign(self, share: frozenset[Partition], generation: int) -> None:
        committed = self._kafka.groups[self._options.group_id].committed
        self._assigned, self._paused, self._generation = share, set(), generation
        start = {"earliest": 0, "none": 0}.get(self._options.auto_offset_reset)
        self._positions = {
            one: committed.get(one, self._kafka.logs[one].end if start is None else start)
            for one in share
        }
        assert self._listener is not None
        await self._listener.on_assigned(share)
        self._stable.set()

    def kick(self) -> None:
        """The group throws this member out, which doesn't know it yet."""
        self._generation = -1

    def _read(self, max_records: int) -> dict[Partition, Sequence[ConsumedRecord]]:
        fetched: dict[Partition, Sequence[ConsumedRecord]] = {}
        if self.stuck or self._kafka.all_stuck:
            return fetched
        for partition in sorted(self._assigned - self._paused):
            log, position = self._kafka.logs[partition], self._positions[partition]
            records = [record for record in log.records if record.offset >= position]
            records = records[:max_records]
            max_records -= len(records)
            more = (
                any(record.offset > records[-1].offset for record in log.records[-1:])
                if (records)
                else False
            )
            self._positions[partition] = records[-1].offset + 1 if more else log.end
            if records:
                fetched[partition] = records
            if max_records == 0:
                break
        return fetched


class FakeProducer:
    def __init__(self, kafka: FakeKafka) -> None:
        self._kafka = kafka
        self._broken: set[Partition] = set()
        self.stopped = False

    async def start(self) -> None:
        if self._kafka.start_faults:
            raise self._kafka.start_faults.pop(0)
        self._kafka.producers.append(self)

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        kafka = self._kafka
        partitions = sorted(p for p in kafka.logs if p.topic == topic)
        if not partitions:
            raise TopicMissing(topic)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        partition = partitions[crc32(value or b"") % len(partitions)]
        log = kafka.logs[partition]
        fault: KafkaFault | None = None
        if partition in self._broken:
            fault = ProducerLost("out of order sequence number")
        elif kafka.send_faults:
            fault = kafka.send_faults.pop(0)
        elif len(value or b"") > kafka.max_bytes.get(topic, 1 << 30):
            fault = RecordTooLarge(f"{len(value or b'')} bytes")
        if fault is not None:
            # As with aiokafka: this partition's sequence is broken from here on.
            if not isinstance(fault, Unreachable):
                self._broken.add(partition)
            future.set_exception(fault)
            return future

        def write() -> None:
            log.append(key, value, headers)
            kafka.wake()

        if topic in kafka.held_topics:
            kafka.hold(topic, future, write)
        else:
            write()
            future.set_result(None)
        return future

    def fault(self, error: BaseException) -> KafkaFault:
        return error if isinstance(error, KafkaFault) else ProducerLost(type(error).__name__)

    async def stop(self, *, timeout_s: float) -> None:
        self.stopped = True
