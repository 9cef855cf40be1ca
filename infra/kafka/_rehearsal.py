"""What the start-up archive is recorded from: the uses that every broker of ours is put to."""

from __future__ import annotations

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from infra.kafka.errors import BrokerError, TopicsError
from infra.kafka.topics import TopicSpec, create_topics

_TOPIC = "rehearsal"
_RECORDS = 200
_TIMEOUT_S = 60.0


async def rehearse(bootstrap: str) -> None:
    """Make a topic, produce to it, consume it as a group and commit.

    Raises:
        BrokerError: it didn't work within a minute.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await create_topics({"bootstrap_servers": bootstrap}, [TopicSpec(_TOPIC, 2)])
            await _produce(bootstrap)
            await _consume(bootstrap)
    except (KafkaError, TopicsError, TimeoutError) as error:
        raise BrokerError(f"the rehearsal failed: {error!r}") from error


async def _produce(bootstrap: str) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, compression_type="gzip", linger_ms=5
    )
    await producer.start()
    try:
        sent = [await producer.send(_TOPIC, b"%d" % n, b"%d" % n) for n in range(_RECORDS)]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def _consume(bootstrap: str) -> None:
    consumer = AIOKafkaConsumer(
        _TOPIC,
        bootstrap_servers=bootstrap,
        group_id=_TOPIC,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        seen = 0
        while seen < _RECORDS:
            batches = await consumer.getmany(timeout_ms=500)
            seen += sum(len(batch) for batch in batches.values())
        await consumer.commit()
    finally:
        with contextlib.suppress(KafkaError):
            await consumer.stop()
