"""A topic of its own for each test."""

import itertools

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

_NUMBERS = itertools.count()


@pytest.fixture
async def topic(bootstrap: str) -> str:
    name = f"alerts-{next(_NUMBERS)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])
    finally:
        await admin.close()
    return name
