"""Topics of a test's own on the real broker, and all that one holds."""

import secrets

from infra.kafka import TopicNames
from runtime.kafka.connection import Broker
from runtime.kafka.topic_log import StoredRecord, kafka_topic_log


def topic_names(prefix: str = "") -> TopicNames:
    """Name emostream's topics under a prefix; by default one that no other test has."""
    prefix = prefix or secrets.token_hex(4)
    parts = ("posts", "events", "dlq", "windows", "alerts", "mutes", "baselines")
    return TopicNames(*(f"{prefix}.{part}" for part in parts))


async def stored_records(topic: str, bootstrap: str) -> list[StoredRecord]:
    """All that a topic holds now; in order within a partition."""
    async with kafka_topic_log(topic, Broker(bootstrap=bootstrap)) as log:
        return [record async for record in log.read(await log.spans())]
