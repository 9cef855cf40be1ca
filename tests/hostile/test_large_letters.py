"""What a topic took compressed can go to the dead letters, however large it is in itself."""

import uuid

from infra.kafka import TopicSpec, create_topics
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.options import KafkaOptions

LARGE = 101 * 1024 * 1024
"""Above the 100 MiB that brokers take in one request, which counts compressed bytes."""


async def test_a_dead_letter_is_measured_compressed_as_the_record_was(bootstrap: str) -> None:
    """Else one record of a few hundred kilobytes stops whoever gets its partition, for good."""
    topic = f"large.{uuid.uuid4().hex[:8]}"
    await create_topics({"bootstrap_servers": bootstrap}, [TopicSpec(topic, 1)])
    producer = AiokafkaBrokers(KafkaOptions(bootstrap=bootstrap, group_id=topic)).producer()
    await producer.start()
    try:
        sent = await producer.send(topic, key=b"k", value=b"a" * LARGE, headers=())
        assert (await sent).offset == 0
    finally:
        await producer.stop(timeout_s=10)
