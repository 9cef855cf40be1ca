"""What every part needs: a fresh embedded Kafka, topics, posts, and a look at how far it is."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from infra.kafka import EmbeddedKafka, TopicNames, create_topics, default_topics
from producer import Broker, LoadSettings, send_load
from producer.synthetic import synthetic_post
from runtime.kafka.topic_log import StoredRecord, kafka_topic_log
from schemas import Post

PARTITIONS = 4
POSTS = "bench.posts"
_LONG_TEXTS = 1_000


class Stage:
    """A running broker. Topics' times are the broker's own (LogAppendTime): one clock for all."""

    def __init__(
        self, bootstrap: str, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient
    ) -> None:
        self.bootstrap = bootstrap
        self._consumer = consumer
        self._admin = admin

    async def make_topics(self, *, posts: str, events: str) -> None:
        """Make topics of these names, and one for the dead letters of `events`."""
        names = TopicNames(posts=posts, events=events, dead_letters=dead_letters_of(events))
        wanted = {names.posts, names.events, names.dead_letters}
        specs = [
            replace(spec, config={**spec.config, "message.timestamp.type": "LogAppendTime"})
            for spec in default_topics(names, partitions=PARTITIONS, replication_factor=1)
            if spec.name in wanted
        ]
        await create_topics({"bootstrap_servers": self.bootstrap}, specs)

    async def send_posts(self, topic: str, count: int, *, size: int = 120, seed: int = 1) -> None:
        """Write so many synthetic posts, all different, as fast as Kafka takes them."""
        settings = LoadSettings(topic=topic, count=count, size=size, seed=seed)
        report = await send_load(settings, Broker(bootstrap=self.bootstrap))
        if report.failure or report.failed:
            raise RuntimeError(f"Kafka did not take all posts: {report.failure or report.errors}")

    async def send_long_posts(self, topic: str, count: int, *, chars: int) -> None:
        """Write so many posts of this length, all different, in less time than synthetic ones.

        Each begins with its number, and goes on as one of a thousand synthetic ones does.
        """
        draw = random.Random(1)
        texts = [synthetic_post(draw, id_="", size=chars).text for _ in range(_LONG_TEXTS)]
        async with AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type="lz4",
            linger_ms=20,
            max_batch_size=262_144,
        ) as producer:
            for number in range(count):
                id_ = f"long-{number}"
                text = f"{number}: {texts[number % _LONG_TEXTS]}"[:chars]
                value = msgspec.json.encode(Post(id=id_, text=text, source="bench", lang="en"))
                await producer.send(topic, value, key=id_.encode())
            await producer.flush()

    async def count(self, topic: str) -> int:
        """Records that were ever written to a topic."""
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return sum((await self._consumer.end_offsets(places)).values())

    async def committed(self, group: str) -> int:
        """Records that a group has committed."""
        offsets = await self._admin.list_consumer_group_offsets(group)
        return sum(max(0, int(one.offset)) for one in offsets.values())


def dead_letters_of(events: str) -> str:
    """The dead-letter topic that goes with a topic of events."""
    return f"{events}.dlq"


def consumer_env(
    stage: Stage, *, posts: str, events: str, servers: str, settings: Mapping[str, str]
) -> dict[str, str]:
    """The environment of `emostream consume`; `settings` are dotted keys of its configuration."""
    keys = {
        "kafka.bootstrap": stage.bootstrap,
        "input.topics": posts,
        "input.group_id": f"group.{events}",
        "output.events_topic": events,
        "output.dlq_topic": dead_letters_of(events),
        "model.servers": servers,
        "http.port": "0",
        "log.format": "json",
        **settings,
    }
    return {f"EMOSTREAM_{key.upper().replace('.', '__')}": value for key, value in keys.items()}


async def records(stage: Stage, topic: str) -> AsyncIterator[StoredRecord]:
    """Yield all that is on a topic now."""
    async with kafka_topic_log(topic, Broker(bootstrap=stage.bootstrap)) as log:
        async for record in log.read(await log.spans()):
            yield record


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Start a broker of its own, on a temporary folder that goes with it."""
    async with EmbeddedKafka() as kafka:
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await consumer.start()
        await admin.start()
        try:
            yield Stage(kafka.bootstrap, consumer, admin)
        finally:
            await admin.close()
            await consumer.stop()
