"""One real broker for all tests in this folder; those that hurt a broker start their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from infra.kafka import EmbeddedKafka


@pytest_asyncio.fixture(scope="session")
async def kafka() -> AsyncIterator[EmbeddedKafka]:
    async with EmbeddedKafka() as broker:
        yield broker
