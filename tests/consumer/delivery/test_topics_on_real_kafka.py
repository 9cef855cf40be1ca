"""Topics that are deleted and created again on a real broker: nothing of the new one is missed."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from consumer.delivery import topic_watch
from consumer.delivery.service import Service
from consumer.options import CommitPolicy, DrainBudget, Until
from consumer.processor import Done
from consumer.records import Record
from infra.kafka import TopicSpec, create_topics
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.errors import RecordRefused
from runtime.kafka.options import KafkaOptions
from tests.consumer.delivery.test_on_real_kafka import (
    LIMITS,
    PARTITIONS,
    Echo,
    group_offsets,
    made_options,
    make_topics,
    read_events,
)
from tests.polling import until


@pytest.fixture
async def options(bootstrap: str) -> KafkaOptions:
    made = made_options(bootstrap)
    await make_topics(made)
    return made


async def produce(options: KafkaOptions, values: Iterable[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=options.bootstrap) as producer:
        for number, value in enumerate(values):
            await producer.send(options.input_topics[0], value, partition=number % PARTITIONS)
        await producer.flush()


async def delete(options: KafkaOptions, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=options.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        while topic in await admin.list_topics():  # noqa: ASYNC110 - the broker's state
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def test_a_topic_that_is_created_again_is_read_from_its_start(
    options: KafkaOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is longer than the old one before the consumer looks: its positions are valid in it."""
    monkeypatch.setattr(topic_watch, "EVERY_S", 1.0)
    (posts,) = options.input_topics
    old = [b"old-%d" % number for number in range(40)]
    new = [b"new-%d" % number for number in range(120)]
    await produce(options, old)
    service = Service(options, Echo(), limits=LIMITS)
    running = asyncio.create_task(service.run(signals=False))
    try:
        await until(lambda: service.snapshot().committed >= len(old))
        await delete(options, posts)
        await create_topics(
            {"bootstrap_servers": options.bootstrap}, [TopicSpec(name=posts, partitions=PARTITIONS)]
        )
        await produce(options, new)
        await until(lambda: service.snapshot().published >= len(old) + len(new))
        await until(lambda: all(one.lag == 0 for one in service.snapshot().partitions))
    finally:
        service.stop()
        assert await running == 0
    keys = {key for key, _ in await read_events(options)}
    assert keys == {*old, *new}


async def test_when_a_pattern_takes_a_new_topic_what_is_done_is_committed_before(
    options: KafkaOptions,
) -> None:
    """Else all that was finished since the last commit comes twice, with each such topic."""
    (posts,) = options.input_topics
    by_pattern = msgspec.structs.replace(
        options,
        input_topics=(),
        input_pattern=f"{posts}.*",
        metadata_max_age_s=1.0,
        session_timeout_s=60.0,  # it isn't thrown out where this process is held up
    )
    seldom = msgspec.structs.replace(
        LIMITS, commit=CommitPolicy(interval_s=1_000, every_records=1_000)
    )
    service = Service(by_pattern, Echo(), limits=seldom)
    running = asyncio.create_task(service.run(signals=False))
    try:
        await produce(options, [b"post-%d" % number for number in range(40)])
        await until(lambda: service.snapshot().published == 40)
        assert service.snapshot().committed == 0
        await create_topics(
            {"bootstrap_servers": options.bootstrap}, [TopicSpec(name=f"{posts}-2", partitions=1)]
        )
        await until(lambda: len(service.snapshot().partitions) == PARTITIONS + 1)
        assert service.snapshot().committed == 40
        await until(lambda: all(one.lag == 0 for one in service.snapshot().partitions))
    finally:
        service.stop()
        assert await running == 0
    assert set((await read_events(options)).values()) == {1}


async def test_a_deleted_topic_is_waited_for_and_read_from_its_start(
    options: KafkaOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group has no partition meanwhile: whoever is in it is ready, and ends nothing."""
    monkeypatch.setattr(topic_watch, "EVERY_S", 0.5)
    (posts,) = options.input_topics
    await produce(options, [b"old-%d" % number for number in range(40)])
    quick = msgspec.structs.replace(options, metadata_max_age_s=1.0)
    service = Service(quick, Echo(), limits=LIMITS)
    running = asyncio.create_task(service.run(signals=False))
    try:
        await until(lambda: service.snapshot().committed >= 40)
        await delete(options, posts)
        await until(lambda: not service.snapshot().partitions and service.snapshot().joined)
        assert service.snapshot().ready
        await create_topics(
            {"bootstrap_servers": options.bootstrap}, [TopicSpec(name=posts, partitions=PARTITIONS)]
        )
        new = [b"new-%d" % number for number in range(20)]
        await produce(options, new)
        await until(lambda: service.snapshot().published >= 60)
        await until(lambda: all(one.lag == 0 for one in service.snapshot().partitions))
    finally:
        service.stop()
        assert await running == 0
    assert {key for key, _ in await read_events(options)} >= set(new)


class Holding(Echo):
    """Keeps the posts of one topic back until it is let go."""

    def __init__(self, held: bytes) -> None:
        self._held = held
        self.open = asyncio.Event()

    async def process(self, records: Sequence[Record], done: Done, *, turn: int = 0) -> None:
        if any((record.value or b"").startswith(self._held) for record in records):
            await self.open.wait()
        await super().process(records, done, turn=turn)


async def test_who_follows_a_consumer_killed_before_it_noticed_reads_the_new_topic_from_its_start(
    options: KafkaOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old posts end on the new topic: their offsets are committed there, and valid in it."""
    # It must neither notice, nor be done with giving the deleted topic's partitions back, before
    # the topic is there again, however long that takes here.
    monkeypatch.setattr(topic_watch, "EVERY_S", 1_000.0)
    patient = msgspec.structs.replace(LIMITS, drain=DrainBudget(revoke_s=50, stop_s=5))
    options = msgspec.structs.replace(options, rebalance_timeout_s=59.0)
    (posts,) = options.input_topics
    old = [b"old-%d" % number for number in range(40)]
    new = [b"new-%d" % number for number in range(120)]
    await produce(options, old)
    processor = Holding(b"old")
    service = Service(options, processor, limits=patient)
    running = asyncio.create_task(service.run(signals=False))
    await until(lambda: service.snapshot().consumed == len(old))
    await delete(options, posts)
    await create_topics(
        {"bootstrap_servers": options.bootstrap}, [TopicSpec(name=posts, partitions=PARTITIONS)]
    )
    processor.open.set()
    # Committed again: what the old topic's group had is deleted with it.
    await until(lambda: service.snapshot().committed >= len(old))
    service.abandon()
    await running
    late = await group_offsets(options)
    assert sum(at.offset for at in late.values()) >= len(old)
    await produce(options, new)
    after = Service(options, Echo(), limits=LIMITS)
    assert await after.run(until=Until(caught_up_s=1.0), signals=False) == 0
    keys = {key for key, _ in await read_events(options)}
    assert keys == {*old, *new}
    now = await group_offsets(options)
    assert sum(at.offset for at in now.values()) == len(new)
    assert {at.metadata for at in now.values()}.isdisjoint(at.metadata for at in late.values())


async def test_what_the_brokers_say_of_topics(options: KafkaOptions) -> None:
    (posts,) = options.input_topics
    compacted = f"compacted-{posts}"
    await create_topics(
        {"bootstrap_servers": options.bootstrap},
        [TopicSpec(name=compacted, partitions=1, config={"cleanup.policy": "compact"})],
    )
    consumer = AiokafkaBrokers(options).consumer()
    await consumer.start()
    try:
        facts = await consumer.topic_facts([posts, options.dlq_topic, "nowhere"], timeout_s=10)
        assert set(facts) == {posts, options.dlq_topic}
        assert facts[posts].id != facts[options.dlq_topic].id
        assert {one.cluster_id for one in facts.values()} == {
            await AiokafkaBrokers(options).cluster_id()
        }
        assert {"read", "write"} <= facts[posts].operations
        assert "read" in await consumer.group_operations(timeout_s=10)
        assert await consumer.compacted(compacted, timeout_s=10)
        assert not await consumer.compacted(posts, timeout_s=10)
        assert "nowhere" not in await consumer.topics()
    finally:
        await consumer.stop()


async def test_a_keyless_record_is_refused_by_a_compacted_topic(options: KafkaOptions) -> None:
    topic = f"keyed-{options.dlq_topic}"
    await create_topics(
        {"bootstrap_servers": options.bootstrap},
        [TopicSpec(name=topic, partitions=1, config={"cleanup.policy": "compact"})],
    )
    producer = AiokafkaBrokers(options).producer()
    await producer.start()
    try:
        sent = await producer.send(topic, key=None, value=b"a dead letter", headers=[])
        await asyncio.wait((sent,))
        error = sent.exception()
        assert error is not None
        assert type(producer.fault(error)) is RecordRefused
    finally:
        await producer.stop(timeout_s=1)
