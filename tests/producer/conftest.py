"""The real broker as this folder's integration tests need it."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from infra.kafka import EmbeddedKafka, TopicSpec, create_topics
from producer import Broker

MakeTopic = Callable[..., Awaitable[str]]


@pytest.fixture
def broker(kafka: EmbeddedKafka) -> Broker:
    return Broker(bootstrap=kafka.bootstrap)


_CONFIG = {"max.message.bytes": str(4 << 20), "retention.ms": "-1"}
"""Kept, however old a record is by its timestamp: a dead letter's is sent back with its own."""


@pytest.fixture
def make_topic(kafka: EmbeddedKafka) -> MakeTopic:
    async def make(partitions: int = 2) -> str:
        name = f"topic-{uuid4().hex[:8]}"
        await create_topics(
            {"bootstrap_servers": kafka.bootstrap},
            [TopicSpec(name, partitions, 1, _CONFIG)],
        )
        return name

    return make
