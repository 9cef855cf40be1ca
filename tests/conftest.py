"""Fixtures that every suite may lean on: the real broker."""

from collections.abc import AsyncIterator

import pytest

from infra.kafka import EmbeddedKafka


@pytest.fixture(scope="session")
async def kafka() -> AsyncIterator[EmbeddedKafka]:
    """One real Apache Kafka for the whole run; each test makes topics of its own."""
    async with EmbeddedKafka() as broker:
        yield broker


@pytest.fixture
def bootstrap(kafka: EmbeddedKafka) -> str:
    return kafka.bootstrap
