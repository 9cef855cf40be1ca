"""Kafka in memory: one broker, topics with gaps, groups that rebalance eagerly, and its moods."""

import asyncio
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.clock import Clock, SystemClock
from runtime.kafka.errors import (
    Denied,
    Fenced,
    KafkaFault,
    Unreachable,
)
from runtime.kafka.offset_metadata import BEGINS_HERE
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import (
    BadBatch,
    ConsumedRecord,
    Headers,
    OffsetAndMetadata,
    Partition,
    RebalanceListener,
    TopicFacts,
)
from tests.runtime.kafka.fake_producer import FakeProducer
from tests.runtime.kafka.fake_transactions import FakeTransactions


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
    start: int = 0
    bad_at: int | None = None
    """Where a batch begins that can't be read."""

    def retain(self, start: int) -> None:
        """Retention takes away what is before `start`."""
        self.start = start
        self.records = [record for record in self.records if record.offset >= start]

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        timestamp_ms: int = 1_600_000_000_000,
    ) -> int:
        offset, self.end = self.end, self.end + 1
        self.records.append(FakeRecord(offset, timestamp_ms, key, value, tuple(headers)))
        return offset

    def skip(self, count: int = 1) -> None:
        """Leave a gap, as a transaction's marker or compaction does."""
        self.end += count


@dataclass
class FakeGroup:
    committed: dict[Partition, int] = field(default_factory=dict)
    metadata: dict[Partition, str] = field(default_factory=dict)
    """Kept beside the committed offsets."""
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
        self.cancelled_commits = 0
        self.commits_under_way = 0
        self.most_commits_under_way = 0
        self.cluster_id = "fake-cluster"
        self.topic_ids: dict[str, str] = {}
        self.operations: dict[str, frozenset[str]] = {}
        self.compacted: set[str] = set()
        self.group_denied = False
        """We may not even ask what we may do with the group."""
        self.end_offsets_fault: KafkaFault | None = None
        self.committed_faults: list[KafkaFault] = []
        """What the next questions for the group's offsets are answered with."""
        self.committed_takes_s = 0.0
        """For each of these questions to be answered, unless less is allowed: then it fails."""
        self.sends_hang = False
        """`send` itself waits, as for a partition's full buffer."""
        self.bad_fetch_takes_s = 0.0
        """Until a batch that couldn't be read is there again, once it is asked for again."""
        self.stop_takes_s = 0.0
        """For clients to stop, unless less is allowed."""
        self.max_bytes: dict[str, int] = {}
        self.held_topics: set[str] = set()
        """Sends to these are acknowledged only by `acknowledge`."""
        self.send_faults: list[KafkaFault] = []
        """What the next sends fail with, whatever they hold."""
        self.start_faults: list[KafkaFault] = []
        self.fetch_faults: list[KafkaFault] = []
        self.all_stuck = False
        """No consumer delivers anything, and none says why."""
        self.transactional: dict[str, FakeTransactions] = {}
        """The newest producer of each transactional id."""
        self.transaction_start_faults: list[KafkaFault] = []
        """What the next producers for transactions fail to start with."""
        self.transaction_gate = asyncio.Event()
        """Such producers start only while it is set."""
        self.transaction_gate.set()
        self.transaction_faults: list[KafkaFault] = []
        """What the next commits of transactions fail with."""
        self.committed_nevertheless = False
        """Such a commit came about, only its answer was lost."""
        self.aborted = 0
        """Transactions."""
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

    def create_again(self, topic: str) -> None:
        """Delete a topic and create it again: another id, and its offsets begin at 0."""
        self.topic_ids[topic] = f"{self.topic_ids.get(topic, 'id')}+"
        for partition, log in self.logs.items():
            if partition.topic == topic:
                log.records.clear()
                log.start = log.end = 0
                log.bad_at = None
        for group in self.groups.values():
            for partition in [one for one in group.committed if one.topic == topic]:
                del group.committed[partition]
                group.metadata.pop(partition, None)

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.clock.call_later(seconds, lambda: None if future.done() else future.set_result(None))
        await future

    def plain_producer(self) -> FakeProducer:
        return FakeProducer(self)

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

    def producer(self) -> FakeProducer:
        return FakeProducer(self._kafka)

    def transactional_producer(self, transactional_id: str) -> FakeTransactions:
        return FakeTransactions(self._kafka, transactional_id)

    async def cluster_id(self) -> str:
        return self._kafka.cluster_id


class FakeConsumer:
    def __init__(self, kafka: FakeKafka, options: KafkaOptions) -> None:
        self._kafka = kafka
        self._options = options
        self._listener: RebalanceListener | None = None
        self._assigned: frozenset[Partition] = frozenset()
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._generation = -1
        self._bad: dict[Partition, BadBatch] = {}
        self._found_bad: dict[Partition, int] = {}
        """In which poll: only a later one asks for it again."""
        self._fetched_again_at: dict[Partition, float] = {}
        self._lost: dict[Partition, int] = {}
        self._known: dict[str, int] = {}
        """How many partitions each topic had when this member first saw it."""
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

    async def topic_facts(
        self, topics: Iterable[str], *, timeout_s: float
    ) -> dict[str, TopicFacts]:
        kafka = self._kafka
        return {
            topic: TopicFacts(
                kafka.topic_ids.get(topic, "id"),
                kafka.operations.get(topic, frozenset()),
                kafka.cluster_id,
            )
            for topic in topics
            if any(partition.topic == topic for partition in kafka.logs)
        }

    async def compacted(self, topic: str, *, timeout_s: float) -> bool:
        return topic in self._kafka.compacted

    async def group_operations(self, *, timeout_s: float) -> frozenset[str]:
        if self._kafka.group_denied:
            raise Denied("GroupAuthorizationFailedError")
        return self._kafka.operations.get(self._options.group_id, frozenset())

    async def getmany(
        self,
        *,
        timeout_s: float,
        max_records: int,
        room: Callable[[Partition], int] | None = None,
    ) -> Mapping[Partition, Sequence[ConsumedRecord]]:
        self.polls += 1
        await self._stable.wait()
        if self._kafka.fetch_faults:
            raise self._kafka.fetch_faults.pop(0)
        fetched = self._read(max_records, room)
        if fetched:
            return fetched
        self.arrived.clear()
        timer = self._kafka.clock.call_later(timeout_s, self.arrived.set)
        try:
            await self.arrived.wait()
        finally:
            timer.cancel()
        return self._read(max_records, room) if self._stable.is_set() else {}

    @property
    def bad_batches(self) -> Mapping[Partition, BadBatch]:
        return self._bad

    def taken_away(self) -> Mapping[Partition, int]:
        lost, self._lost = self._lost, {}
        return lost

    def assignment(self) -> frozenset[Partition]:
        return self._assigned

    def pause(self) -> None:
        self._paused |= self._assigned

    def resume(self) -> None:
        self._paused -= self._assigned
        self.arrived.set()

    async def commit(self, offsets: Mapping[Partition, OffsetAndMetadata]) -> None:
        kafka = self._kafka
        kafka.commits_under_way += 1
        kafka.most_commits_under_way = max(kafka.most_commits_under_way, kafka.commits_under_way)
        try:
            await self._commit(offsets)
        except asyncio.CancelledError:
            kafka.cancelled_commits += 1
            raise
        finally:
            kafka.commits_under_way -= 1

    async def _commit(self, offsets: Mapping[Partition, OffsetAndMetadata]) -> None:
        kafka = self._kafka
        if kafka.commit_hangs:
            await asyncio.get_running_loop().create_future()
        if kafka.commit_faults:
            raise kafka.commit_faults.pop(0)
        group = kafka.groups[self._options.group_id]
        if self._generation != group.generation or not set(offsets) <= self._assigned:
            raise Fenced("not of this generation")
        for partition, at in offsets.items():
            kafka.on_commit(partition, at.offset)
            group.committed[partition] = at.offset
            group.metadata[partition] = at.metadata
        kafka.commits.append({partition: at.offset for partition, at in offsets.items()})

    def position(self, partition: Partition) -> int | None:
        return self._positions.get(partition)

    def high_water(self, partition: Partition) -> int | None:
        return self._kafka.logs[partition].end if partition in self._assigned else None

    def seek(self, partition: Partition, offset: int) -> None:
        self._positions[partition] = offset
        self._bad.pop(partition, None)
        self.arrived.set()

    def seek_to_beginning(self, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            self._positions[partition] = self._kafka.logs[partition].start

    async def end_offsets(
        self, partitions: Iterable[Partition], *, timeout_s: float
    ) -> dict[Partition, int]:
        if self._kafka.end_offsets_fault is not None:
            raise self._kafka.end_offsets_fault
        return {partition: self._kafka.logs[partition].end for partition in partitions}

    async def beginning_offsets(
        self, partitions: Iterable[Partition], *, timeout_s: float
    ) -> dict[Partition, int]:
        return {partition: self._kafka.logs[partition].start for partition in partitions}

    async def committed(
        self, partitions: Iterable[Partition], *, timeout_s: float
    ) -> dict[Partition, OffsetAndMetadata]:
        if self._kafka.committed_takes_s:
            await self._kafka.sleep(min(timeout_s, self._kafka.committed_takes_s))
            if self._kafka.committed_takes_s > timeout_s:
                raise Unreachable("no answer")
        if self._kafka.committed_faults:
            raise self._kafka.committed_faults.pop(0)
        group = self._kafka.groups[self._options.group_id]
        return {
            one: OffsetAndMetadata(group.committed[one], group.metadata.get(one, ""))
            for one in partitions
            if one in group.committed
        }

    async def stop(self, *, timeout_s: float = 10.0) -> None:
        if self._kafka.stop_takes_s:
            await self._kafka.sleep(min(timeout_s, self._kafka.stop_takes_s))
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
        group = self._kafka.groups[self._options.group_id]
        committed = group.committed
        self._assigned, self._paused, self._generation = share, set(), generation
        logs = self._kafka.logs
        for topic in {partition.topic for partition in logs}:
            self._known.setdefault(topic, sum(partition.topic == topic for partition in logs))
        for one in share - set(committed):
            if self._options.auto_offset_reset == "latest":
                added = one.partition >= self._known[one.topic]
                committed[one] = logs[one].start if added else logs[one].end
                group.metadata[one] = BEGINS_HERE
        self._positions = {one: max(committed.get(one, 0), logs[one].start) for one in share}
        self._bad.clear()
        assert self._listener is not None
        await self._listener.on_assigned(share)
        self._stable.set()

    def kick(self) -> None:
        """The group throws this member out, which doesn't know it yet."""
        self._generation = -1

    def _read(
        self, max_records: int, room: Callable[[Partition], int] | None
    ) -> dict[Partition, Sequence[ConsumedRecord]]:
        fetched: dict[Partition, Sequence[ConsumedRecord]] = {}
        if self.stuck or self._kafka.all_stuck:
            return fetched
        order = sorted(self._assigned - self._paused)
        turn = self.polls % len(order) if order else 0
        for partition in (*order[turn:], *order[:turn]):
            most = max_records if room is None else min(max_records, room(partition))
            if most <= 0:
                continue
            if partition in self._bad and not self._fetched_again(partition):
                continue
            log, position = self._kafka.logs[partition], self._positions[partition]
            if position < log.start:
                self._lost[partition] = self._lost.get(partition, 0) + log.start - position
                position = log.start
            end = log.end if log.bad_at is None else log.bad_at
            first = bisect_left(log.records, position, key=_offset)
            records = [one for one in log.records[first:] if one.offset < end]
            if not records and log.bad_at is not None:
                self._bad[partition] = BadBatch(log.bad_at, "its checksum is wrong")
                self._found_bad[partition] = self.polls
                continue
            more = len(records) > most
            records = records[:most]
            self._positions[partition] = records[-1].offset + 1 if more else end
            if records:
                self._bad.pop(partition, None)
                fetched[partition] = records
                max_records -= len(records)
        return fetched

    def _fetched_again(self, partition: Partition) -> bool:
        if self._found_bad[partition] == self.polls:
            return False
        now = self._kafka.clock.monotonic()
        due = now + self._kafka.bad_fetch_takes_s
        if now < self._fetched_again_at.setdefault(partition, due):
            return False
        del self._fetched_again_at[partition]
        return True


def _offset(record: FakeRecord) -> int:
    return record.offset
