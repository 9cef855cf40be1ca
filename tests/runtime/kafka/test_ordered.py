"""Partitions merged by time, on a real Kafka with transactions in its log."""

import asyncio
import secrets
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaTimeoutError, NotLeaderForPartitionError

from infra.kafka import TopicSpec, create_topics
from runtime.kafka.connection import Broker
from runtime.kafka.ordered import OrderedReader
from runtime.kafka.topic_log import StoredRecord, kafka_topic_log

_KEPT = {"retention.ms": "-1"}
"""The records are of 1970. Half a minute after its start, and every five minutes from then on, a
broker deletes what is older than it keeps."""


async def _topic(bootstrap: str, partitions: int) -> str:
    name = f"ordered-{secrets.token_hex(4)}"
    await create_topics({"bootstrap_servers": bootstrap}, [TopicSpec(name, partitions, 1, _KEPT)])
    return name


async def _write(bootstrap: str, topic: str, times: dict[int, list[int]]) -> None:
    """One transaction for each partition: its log ends in a marker, which is never handed out.

    Returns when a reader of what is committed can see it: Kafka answers the end of a transaction
    before it has written the marker.
    """
    last: dict[TopicPartition, int] = {}
    for partition, stamps in times.items():
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, transactional_id=f"{topic}-{partition}"
        )
        await producer.start()
        sent = None
        async with producer.transaction():
            for stamp in stamps:
                sent = await producer.send(
                    topic, value=b"%d" % stamp, partition=partition, timestamp_ms=stamp
                )
        await producer.stop()
        if sent is not None:
            last[TopicPartition(topic, partition)] = (await sent).offset
    await _readable(bootstrap, last)


async def _readable(bootstrap: str, offsets: dict[TopicPartition, int]) -> None:
    """Wait until the records at these offsets are handed to a reader of what is committed."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            for partition, offset in offsets.items():
                consumer.assign([partition])
                consumer.seek(partition, offset)
                await consumer.getone()
    finally:
        await consumer.stop()


async def test_partitions_are_merged_by_time_however_far_apart_they_are(bootstrap: str) -> None:
    topic = await _topic(bootstrap, 3)
    times = {
        0: [1_000 * n for n in range(3_000)],
        1: [1_500_000 + 10 * n for n in range(6_000)],
        2: [],
    }
    await _write(bootstrap, topic, times)
    async with kafka_topic_log(topic, Broker(bootstrap=bootstrap)) as log:
        read = [record async for record in log.in_order(await log.spans())]
    stamps = [record.timestamp_ms for record in read]
    assert stamps == sorted(time for part in times.values() for time in part)


async def test_a_partition_is_at_its_end_behind_a_transaction_marker(bootstrap: str) -> None:
    topic = await _topic(bootstrap, 1)
    await _write(bootstrap, topic, {0: [1, 2, 3]})
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        consumer.assign([partition])
        reader = OrderedReader[int](consumer, {partition: 0}, lambda r: (r.timestamp, r.offset))
        assert not reader.at_end(partition)  # nothing is known before the first fetch
        async with asyncio.timeout(20):
            while not reader.at_end(partition):
                await reader.take(timeout_s=0.5)
        assert reader.positions == {partition: 4}
        assert reader.end(partition) == 4
    finally:
        await consumer.stop()


async def test_following_goes_on_with_what_is_written_from_now_on(bootstrap: str) -> None:
    topic = await _topic(bootstrap, 2)
    await _write(bootstrap, topic, {0: [1, 3], 1: [2]})
    read: list[StoredRecord] = []
    async with kafka_topic_log(topic, Broker(bootstrap=bootstrap)) as log:
        followed = log.in_order(await log.spans(), follow=True)
        async with asyncio.timeout(30):
            async for record in followed:
                read.append(record)
                if len(read) == 3:
                    await _write(bootstrap, topic, {1: [4]})
                if len(read) == 4:
                    break
        await followed.aclose()
    assert [record.timestamp_ms for record in read] == [1, 2, 3, 4]


async def test_since_leaves_out_what_was_written_before(bootstrap: str) -> None:
    topic = await _topic(bootstrap, 2)
    await _write(bootstrap, topic, {0: [1_000, 3_000], 1: [2_000]})
    async with kafka_topic_log(topic, Broker(bootstrap=bootstrap)) as log:
        spans = await log.spans(since=datetime.fromtimestamp(2, UTC))
        read = [record.timestamp_ms async for record in log.in_order(spans)]
    assert read == [2_000, 3_000]


class Quiet:
    """An AIOKafkaConsumer whose next fetch brings one partition's records before the other's."""

    def __init__(self, *fetches: dict[TopicPartition, list[Any]]) -> None:
        self.fetches = list(fetches)
        self.positions: dict[TopicPartition, int] = {}
        self.told: dict[TopicPartition, int] = {}
        """Where each log ended at its partition's last fetch."""
        self.ends: dict[TopicPartition, int] = {}
        """Where it ends."""
        self.fault: BaseException | None = None
        self._subscription = SimpleNamespace(
            subscription=SimpleNamespace(assignment=SimpleNamespace(state_value=self._state))
        )

    def _state(self, partition: TopicPartition) -> Any:
        return SimpleNamespace(position=self.positions[partition], has_valid_position=True)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = self.told[partition] = offset

    def last_stable_offset(self, partition: TopicPartition) -> int:
        return self.told[partition]

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self.fault is not None:
            raise self.fault
        return {partition: self.ends.get(partition, 0) for partition in partitions}

    async def getmany(self, *_: TopicPartition, **__: Any) -> dict[TopicPartition, list[Any]]:
        fetched = self.fetches.pop(0) if self.fetches else {}
        for partition, records in fetched.items():
            self.positions[partition] = self.told[partition] = records[-1].offset + 1
        return fetched


A, B = TopicPartition("events", 0), TopicPartition("events", 1)


def _records(*times: int) -> list[Any]:
    return [SimpleNamespace(timestamp=at, offset=offset) for offset, at in enumerate(times)]


@pytest.mark.parametrize("fault", [None, KafkaTimeoutError(), NotLeaderForPartitionError()])
async def test_a_quiet_partition_is_asked_for_its_end_before_others_pass_it(
    fault: BaseException | None,
) -> None:
    consumer = Quiet({A: _records(3, 4)}, {B: _records(1, 2)})
    reader = OrderedReader[int](consumer, {A: 0, B: 0}, lambda r: (r.timestamp, r.timestamp))
    assert reader.at_end(B)
    consumer.ends = {A: 2, B: 2}
    consumer.fault = fault
    assert await reader.take(timeout_s=0.1) == []
    assert not reader.at_end(B), "it has got records, or can't be asked"
    assert await reader.take(timeout_s=0.1) == [1, 2, 3, 4]
    assert reader.at_end(B)


async def test_what_brings_records_all_the_time_is_not_asked_besides() -> None:
    consumer = Quiet({A: _records(1), B: _records(2)}, {A: _records(3)})
    reader = OrderedReader[int](
        consumer, {A: 0, B: 0}, lambda r: (r.timestamp, r.timestamp), monotonic=lambda: 5.0
    )
    consumer.fault = AssertionError("asked")
    assert await reader.take(timeout_s=0.1) == [1, 2]
    assert await reader.take(timeout_s=0.1) == [3]
