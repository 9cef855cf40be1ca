"""The core on a real Apache Kafka: members come and go, and the broker does."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from consumer.delivery.service import Service
from consumer.options import (
    BatchLimits,
    CommitPolicy,
    DrainBudget,
    InFlightLimits,
    ServiceLimits,
    Until,
)
from consumer.processor import Done
from consumer.records import Emit, Record
from infra.kafka import EmbeddedKafka, TopicSpec, create_topics
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import OffsetAndMetadata, Partition
from tests.polling import until

PARTITIONS = 4
LIMITS = ServiceLimits(
    batch=BatchLimits(max_posts=16, max_concurrent_posts=64),
    in_flight=InFlightLimits(max_posts=64),
    commit=CommitPolicy(interval_s=0.2),
    drain=DrainBudget(revoke_s=5, stop_s=5),
)


class Echo:
    """Emits each record's position, so that a redelivery gives the same event."""

    available = True
    model = None

    async def wait_available(self) -> None: ...

    async def process(self, records: Sequence[Record], done: Done, *, turn: int = 0) -> None:
        await asyncio.sleep(0.01)  # a model's answer takes a while: work is in flight
        for record in records:
            value = f"{record.partition}/{record.offset}".encode()
            done(record, Emit(key=record.value, value=value, headers=()))


def made_options(bootstrap: str) -> KafkaOptions:
    name = uuid.uuid4().hex[:8]
    return KafkaOptions(
        bootstrap=bootstrap,
        group_id=f"group-{name}",
        input_topics=(f"posts-{name}",),
        output_topic=f"events-{name}",
        dlq_topic=f"dlq-{name}",
        session_timeout_s=6.0,
        heartbeat_interval_s=0.5,
        rebalance_timeout_s=15.0,
        max_poll_interval_s=60.0,
        metadata_max_age_s=5.0,
    )


async def make_topics(options: KafkaOptions) -> None:
    (posts,) = options.input_topics
    await create_topics(
        {"bootstrap_servers": options.bootstrap},
        [
            TopicSpec(name=posts, partitions=PARTITIONS),
            TopicSpec(name=options.output_topic, partitions=2),
            TopicSpec(name=options.dlq_topic, partitions=1),
        ],
    )


@pytest.fixture
async def options(bootstrap: str) -> KafkaOptions:
    made = made_options(bootstrap)
    await make_topics(made)
    return made


@pytest.fixture
async def produce(
    options: KafkaOptions,
) -> AsyncIterator[Callable[[int, int], Awaitable[None]]]:
    producer = AIOKafkaProducer(bootstrap_servers=options.bootstrap, enable_idempotence=True)
    await producer.start()
    (posts,) = options.input_topics

    async def send(first: int, count: int) -> None:
        for number in range(first, first + count):
            await producer.send(posts, b"post-%d" % number, partition=number % PARTITIONS)
        await producer.flush()

    yield send
    await producer.stop()


async def read_events(options: KafkaOptions) -> Counter[tuple[bytes, bytes]]:
    """All events, read committed, to the end of their topic: (key, value) → how often."""
    reader = AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    await reader.start()
    try:
        partitions = [TopicPartition(options.output_topic, number) for number in range(2)]
        reader.assign(partitions)
        ends = await reader.end_offsets(partitions)
        events: Counter[tuple[bytes, bytes]] = Counter()
        while sum(events.values()) < sum(ends.values()):
            for records in (await reader.getmany(timeout_ms=500)).values():
                events.update((record.key or b"", record.value or b"") for record in records)
        return events
    finally:
        await reader.stop()


async def committed(options: KafkaOptions) -> int:
    """The sum of the group's offsets: posts that never come again."""
    reader = AIOKafkaConsumer(bootstrap_servers=options.bootstrap, group_id=options.group_id)
    await reader.start()
    try:
        offsets = [
            await reader.committed(TopicPartition(options.input_topics[0], number)) or 0
            for number in range(PARTITIONS)
        ]
        return sum(offsets)
    finally:
        await reader.stop()


async def group_offsets(options: KafkaOptions) -> dict[Partition, OffsetAndMetadata]:
    """What the group has committed, with the words beside it."""
    reader = AiokafkaBrokers(options).consumer()
    await reader.start()
    try:
        (posts,) = options.input_topics
        asked = [Partition(posts, number) for number in range(PARTITIONS)]
        return await reader.committed(asked, timeout_s=10)
    finally:
        await reader.stop()


def holds_all(events: Counter[tuple[bytes, bytes]], count: int) -> None:
    """Every post has its event, and what came twice is the same event."""
    by_post: dict[bytes, set[bytes]] = {}
    for key, value in events:
        by_post.setdefault(key, set()).add(value)
    assert set(by_post) == {b"post-%d" % number for number in range(count)}
    assert all(len(values) == 1 for values in by_post.values())


async def test_everything_is_published_once_and_committed_when_nothing_goes_wrong(
    options: KafkaOptions, produce: Callable[[int, int], Awaitable[None]]
) -> None:
    await produce(0, 500)
    service = Service(options, Echo(), limits=LIMITS)
    assert await service.run(until=Until(caught_up_s=0.5), signals=False) == 0
    events = await read_events(options)
    holds_all(events, 500)
    assert set(events.values()) == {1}
    assert await committed(options) == 500


async def test_two_members_joining_and_leaving_lose_nothing_and_duplicates_are_equal(
    options: KafkaOptions, produce: Callable[[int, int], Awaitable[None]]
) -> None:
    # Neither is thrown out, though this process may be held up: what it does would come twice.
    options = msgspec.structs.replace(options, session_timeout_s=60.0)
    first, second = (Service(options, Echo(), limits=LIMITS) for _ in range(2))
    one = asyncio.create_task(first.run(signals=False))
    await produce(0, 1_000)
    await until(lambda: first.snapshot().published > 100)
    two = asyncio.create_task(second.run(signals=False))
    await until(lambda: len(second.snapshot().partitions) == PARTITIONS // 2)
    await produce(1_000, 1_000)
    await until(lambda: second.snapshot().published > 100)
    first.stop()
    assert await one == 0
    await produce(2_000, 500)
    await until(lambda: len(second.snapshot().partitions) == PARTITIONS)
    # No lag says less: it is of the last fetch, perhaps before the last posts were written.
    await until(lambda: first.snapshot().published + second.snapshot().published >= 2_500)
    second.stop()
    assert await two == 0
    events = await read_events(options)
    holds_all(events, 2_500)
    assert await committed(options) == 2_500
    # Drained and committed before each handover: nothing was done twice.
    assert set(events.values()) == {1}


async def test_a_member_that_goes_without_a_word_leaves_its_work_to_the_other(
    options: KafkaOptions, produce: Callable[[int, int], Awaitable[None]]
) -> None:
    first, second = (Service(options, Echo(), limits=LIMITS) for _ in range(2))
    await produce(0, 1_000)
    one = asyncio.create_task(first.run(signals=False))
    await until(lambda: first.snapshot().published > 100)
    first.abandon()
    await one
    assert await second.run(until=Until(caught_up_s=0.5), signals=False) == 0
    holds_all(await read_events(options), 1_000)
    assert await committed(options) == 1_000


async def test_a_broker_killed_and_started_again_costs_nothing_but_time() -> None:
    async with EmbeddedKafka() as kafka:
        options = made_options(kafka.bootstrap)
        await make_topics(options)
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True)
        await producer.start()
        for number in range(3_000):
            await producer.send(
                options.input_topics[0], b"post-%d" % number, partition=number % PARTITIONS
            )
        await producer.stop()
        service = Service(options, Echo(), limits=LIMITS)
        running = asyncio.create_task(service.run(signals=False))
        await until(lambda: service.snapshot().published > 200)
        await kafka.kill()
        await kafka.restart()
        await until(lambda: service.snapshot().published >= 3_000)
        await until(
            lambda: (
                all(state.lag == 0 for state in service.snapshot().partitions)
                and bool(service.snapshot().partitions)
            )
        )
        service.stop()
        assert await running == 0
        holds_all(await read_events(options), 3_000)
        assert await committed(options) == 3_000
