"""Brokers that name none of the cluster, themselves included, are asked again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata

from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.fenced import FencedProducer
from runtime.kafka.options import KafkaOptions


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The first two answers of each client name no broker; gives how many did so."""
    update, seen = ClusterMetadata.update_metadata, dict[ClusterMetadata, int]()

    def without(cluster: ClusterMetadata, metadata: Any) -> Any:
        seen[cluster] = seen.get(cluster, 0) + 1
        if seen[cluster] <= 2:
            metadata.brokers = []
        return update(cluster, metadata)

    monkeypatch.setattr(ClusterMetadata, "update_metadata", without)
    return lambda: sum(seen.values())


def _options(bootstrap: str, topic: str) -> KafkaOptions:
    return KafkaOptions(bootstrap=bootstrap, input_topics=(topic,), group_id=topic)


async def test_a_transactional_producer_starts_once_there_is_one(
    bootstrap: str, nobody: Callable[[], int]
) -> None:
    options = _options(bootstrap, "nobody-begins")
    producer = AiokafkaBrokers(options).transactional_producer(f"{options.group_id}/one")
    try:
        async with asyncio.timeout(20):
            await producer.start()
    finally:
        await producer.stop(timeout_s=5)
    assert nobody() > 2


async def test_the_monitors_producer_starts_once_there_is_one(
    bootstrap: str, nobody: Callable[[], int]
) -> None:
    options = _options(bootstrap, "nobody-watches")
    producer = FencedProducer(options, f"{options.group_id}/one")
    try:
        await producer.start()
    finally:
        await producer.stop()
    assert nobody() > 2
