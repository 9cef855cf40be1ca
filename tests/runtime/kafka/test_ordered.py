"""Partitions merged by time, on a real Kafka with transactions in its log."""

import asyncio
import secrets
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from infra.kafka import TopicSpec, create_topics
from runtime.kafka.connection import Broker
from runtime.kafka.ordered import OrderedReader
from runtime.kafka.topic_log import StoredRecord, kafka_topic_log


async def _topic(bootstrap: str, partitions: int) -> str:
    name = f"ordered-{secrets.token_hex(4)}"
    await create_topics({"bootstrap_servers": bootstrap}, [TopicSpec(name, partitions, 1)])
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
