"""A corrupt batch on a real broker's disk stops its partition alone, and can be skipped."""

import asyncio
import struct
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from consumer.delivery.service import Service
from consumer.options import Until
from infra.kafka import EmbeddedKafka
from runtime.kafka.connection import Broker
from runtime.kafka.errors import Fenced
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import Partition
from runtime.kafka.skip import skip_bad_batches
from tests.consumer.delivery.test_on_real_kafka import (
    LIMITS,
    PARTITIONS,
    Echo,
    committed,
    group_offsets,
    made_options,
    make_topics,
    read_events,
)
from tests.polling import until

BATCHES, IN_A_BATCH = 6, 10
EACH = BATCHES * IN_A_BATCH
BAD_PARTITION, BAD_BATCH = 1, 3


@pytest.fixture
async def options(bootstrap: str) -> KafkaOptions:
    made = made_options(bootstrap)
    await make_topics(made)
    return made


async def produce(options: KafkaOptions) -> None:
    """So many batches on each partition, each of one send."""
    producer = AIOKafkaProducer(bootstrap_servers=options.bootstrap)
    await producer.start()
    for number in range(BATCHES):
        for partition in range(PARTITIONS):
            batch = producer.create_batch()
            for index in range(IN_A_BATCH):
                value = b"%d/%d" % (partition, number * IN_A_BATCH + index)
                assert batch.append(key=None, value=value, timestamp=None) is not None
            sent = await producer.send_batch(batch, options.input_topics[0], partition=partition)
            await sent
    await producer.stop()


def corrupt(data_dir: Path, topic: str) -> None:
    """Turn one bit of a batch's records, as a bad disk does; its length stays right."""
    # Not searched: the broker removes folders of deleted topics meanwhile, and that ends a search.
    path = data_dir / "records" / f"{topic}-{BAD_PARTITION}" / f"{0:020}.log"
    log = bytearray(path.read_bytes())
    at = 0
    for _ in range(BAD_BATCH):
        at += 12 + struct.unpack_from(">i", log, at + 8)[0]
    with path.open("r+b") as file:
        file.seek(at + 70)
        file.write(bytes([log[at + 70] ^ 1]))


async def run(options: KafkaOptions, finished: int) -> Service:
    service = Service(options, Echo(), limits=LIMITS)
    running = asyncio.create_task(service.run(signals=False))
    await until(lambda: service.snapshot().published >= finished)
    await until(lambda: service.snapshot().committed >= finished)
    service.stop()
    assert await running == 0
    return service


async def test_a_corrupt_batch_stops_its_partition_alone_and_can_be_skipped(
    options: KafkaOptions, kafka: EmbeddedKafka
) -> None:
    await produce(options)
    corrupt(kafka.data_dir, options.input_topics[0])
    before, after = BAD_BATCH * IN_A_BATCH, (BAD_BATCH + 1) * IN_A_BATCH
    healthy = (PARTITIONS - 1) * EACH + before
    service = await run(options, healthy)
    assert service.snapshot().published == healthy
    assert await committed(options) == healthy

    broker = Broker(bootstrap=options.bootstrap)
    group, topics = options.group_id, options.input_topics
    (would,) = await skip_bad_batches(broker, group, topics, dry_run=True)
    assert would.state == "would be skipped"
    assert await committed(options) == healthy
    (skipped,) = await skip_bad_batches(broker, group, topics)
    assert (skipped.partition, skipped.first, skipped.next) == (BAD_PARTITION, before, after)
    assert (skipped.state, skipped.offsets) == ("skipped", IN_A_BATCH)
    assert skipped.reason == "its checksum is wrong"
    assert await skip_bad_batches(broker, group, topics) == []
    metadata = {at.metadata for at in (await group_offsets(options)).values()}
    assert len(metadata) == 1  # the skipped partition's offset names its topic, as all others do
    assert "topic-id=" in metadata.pop()

    again = Service(options, Echo(), limits=LIMITS)
    assert await again.run(until=Until(caught_up_s=0.5), signals=False) == 0
    events = await read_events(options)
    assert set(events.values()) == {1}
    assert {key for key, _ in events} == {
        b"%d/%d" % (partition, number)
        for partition in range(PARTITIONS)
        for number in range(EACH)
        if partition != BAD_PARTITION or not before <= number < after
    }
    assert await committed(options) == PARTITIONS * EACH


async def test_what_is_not_finished_before_a_bad_batch_is_never_skipped(
    options: KafkaOptions, kafka: EmbeddedKafka
) -> None:
    await produce(options)
    corrupt(kafka.data_dir, options.input_topics[0])
    broker = Broker(bootstrap=options.bootstrap)
    only = [Partition(options.input_topics[0], BAD_PARTITION)]
    (found,) = await skip_bad_batches(broker, options.group_id, (), only=only)
    assert found.state == "posts before it are not finished"
    assert found.unfinished == BAD_BATCH * IN_A_BATCH
    assert await committed(options) == 0


async def test_a_group_with_members_keeps_its_offsets(
    options: KafkaOptions, kafka: EmbeddedKafka
) -> None:
    await produce(options)
    corrupt(kafka.data_dir, options.input_topics[0])
    healthy = (PARTITIONS - 1) * EACH + BAD_BATCH * IN_A_BATCH
    service = Service(options, Echo(), limits=LIMITS)
    running = asyncio.create_task(service.run(signals=False))
    try:
        await until(lambda: service.snapshot().committed >= healthy)
        with pytest.raises(Fenced, match="stop its consumers"):
            await skip_bad_batches(
                Broker(bootstrap=options.bootstrap), options.group_id, options.input_topics
            )
        assert await committed(options) == healthy
        (stopped,) = [one for one in service.snapshot().partitions if one.held is not None]
        assert (stopped.partition, stopped.held) == (BAD_PARTITION, "bad_batch")
    finally:
        service.stop()
        assert await running == 0
