"""The fake and the real cluster alike, and a group member that remembers."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from infra.kafka import TopicSpec, create_topics
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import (
    Brokers,
    ConsumedRecord,
    Headers,
    KafkaConsumer,
    KafkaProducer,
    Partition,
)
from tests.runtime.kafka.fake_kafka import FakeKafka, FakeLog

WITHIN_S = 30


class Cluster(Protocol):
    """A cluster with one topic `posts-…` of two partitions, and a small one for events."""

    @property
    def options(self) -> KafkaOptions: ...

    def consumer(self, **changed: Any) -> KafkaConsumer: ...

    def producer(self) -> KafkaProducer: ...

    def brokers(self) -> Brokers: ...

    async def retain(self, partition: Partition, start: int) -> None:
        """Take away what is before `start`, as retention does."""

    async def add_partitions(self, topic: str, total: int) -> None:
        """Give a topic so many partitions in all."""

    async def noticed(self) -> None:
        """Have the group's members see that; a real one's look by themselves."""

    async def send_to(self, partition: Partition, values: Sequence[bytes]) -> None:
        """Write to one partition, as a producer that already knows it."""

    async def nothing_under_way(self, consumer: Any) -> None:
        """Return when a consumer that is paused waits for no answer to a fetch any more."""


class Real:
    def __init__(self, bootstrap: str) -> None:
        self.options = kafka_options(bootstrap)

    async def prepare(self) -> None:
        await create_topics(
            {"bootstrap_servers": self.options.bootstrap},
            [
                TopicSpec(name=self.options.input_topics[0], partitions=2),
                TopicSpec(
                    name=self.options.output_topic,
                    partitions=1,
                    config={"max.message.bytes": "2000"},
                ),
            ],
        )

    def consumer(self, **changed: Any) -> KafkaConsumer:
        return AiokafkaBrokers(msgspec.structs.replace(self.options, **changed)).consumer()

    def producer(self) -> KafkaProducer:
        return AiokafkaBrokers(self.options).producer()

    def brokers(self) -> Brokers:
        return AiokafkaBrokers(self.options)

    async def retain(self, partition: Partition, start: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.options.bootstrap)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(*partition): RecordsToDelete(start)})
        finally:
            await admin.close()

    async def add_partitions(self, topic: str, total: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.options.bootstrap)
        await admin.start()
        try:
            await admin.create_partitions({topic: NewPartitions(total)})
        finally:
            await admin.close()

    async def noticed(self) -> None:
        pass

    async def send_to(self, partition: Partition, values: Sequence[bytes]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.options.bootstrap) as producer:
            for value in values:
                await producer.send_and_wait(partition.topic, value, partition=partition.partition)

    async def nothing_under_way(self, consumer: Any) -> None:
        # Paused, it begins none.
        if pending := [one for one in consumer._consumer._fetcher._pending_tasks if not one.done()]:
            await asyncio.wait(pending)


class Fake:
    def __init__(self) -> None:
        self.options = kafka_options("fake:9092")
        (posts,) = self.options.input_topics
        self.kafka = FakeKafka({posts: 2, self.options.output_topic: 1})
        self.kafka.max_bytes[self.options.output_topic] = 2_000

    def consumer(self, **changed: Any) -> KafkaConsumer:
        return self.kafka.brokers(msgspec.structs.replace(self.options, **changed)).consumer()

    def producer(self) -> KafkaProducer:
        return self.kafka.brokers(self.options).producer()

    def brokers(self) -> Brokers:
        return self.kafka.brokers(self.options)

    async def retain(self, partition: Partition, start: int) -> None:
        self.kafka.logs[partition].retain(start)

    async def add_partitions(self, topic: str, total: int) -> None:
        for number in range(total):
            self.kafka.logs.setdefault(Partition(topic, number), FakeLog())

    async def noticed(self) -> None:
        await self.kafka.rebalance(self.options.group_id)

    async def send_to(self, partition: Partition, values: Sequence[bytes]) -> None:
        for value in values:
            self.kafka.logs[partition].append(None, value)

    async def nothing_under_way(self, consumer: Any) -> None:
        pass


def kafka_options(bootstrap: str) -> KafkaOptions:
    name = uuid.uuid4().hex[:8]
    return KafkaOptions(
        bootstrap=bootstrap,
        group_id=f"group-{name}",
        input_topics=(f"posts-{name}",),
        output_topic=f"small-{name}",
        metadata_max_age_s=1.0,
        compression="none",
    )


class Member:
    """A consumer with a listener that remembers, and a loop that looks."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self.consumer = consumer
        self.calls: list[tuple[str, frozenset[Partition]]] = []
        self.got: list[tuple[Partition, ConsumedRecord]] = []

    async def on_revoked(self, partitions: frozenset[Partition]) -> None:
        self.calls.append(("revoked", partitions))

    async def on_assigned(self, partitions: frozenset[Partition]) -> None:
        self.calls.append(("assigned", partitions))

    async def join(self) -> None:
        await self.consumer.start()
        self.consumer.subscribe(self)

    async def look(self, max_records: int = 100) -> int:
        fetched = await self.consumer.getmany(timeout_s=0.2, max_records=max_records)
        for partition, records in fetched.items():
            self.got += [(partition, record) for record in records]
        return sum(len(records) for records in fetched.values())

    async def look_until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not true():
                await self.look()

    def values(self) -> list[bytes | None]:
        return [record.value for _, record in self.got]


async def send(
    producer: KafkaProducer,
    topic: str,
    values: Sequence[bytes | None],
    *,
    key: bytes | None = None,
    headers: Headers = (),
) -> None:
    futures = [
        await producer.send(topic, key=key, value=value, headers=headers) for value in values
    ]
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*futures)
