"""A connection to the coordinator that died unseen stops commits for seconds, not longer."""

import asyncio

from aiokafka.client import ConnectionGroup

from consumer.delivery.service import Service
from consumer.options import BatchLimits, CommitPolicy, DrainBudget, ServiceLimits
from runtime.kafka.aiokafka_brokers import AiokafkaConsumer
from runtime.kafka.options import KafkaOptions
from tests.consumer.delivery.test_on_real_kafka import (
    Echo,
    made_options,
    make_topics,
)
from tests.consumer.delivery.test_topics_on_real_kafka import produce
from tests.polling import until

LIMITS = ServiceLimits(
    batch=BatchLimits(max_posts=64, max_wait_s=0.01),
    commit=CommitPolicy(interval_s=0.1, timeout_s=1.0),
    drain=DrainBudget(revoke_s=5.0, stop_s=5.0),
)


def deafen(service: Service) -> None:
    """Nothing that the coordinator answers on its connection arrives any more; nobody closed it."""
    consumer = service._consumer
    assert isinstance(consumer, AiokafkaConsumer)
    coordinator, client = consumer._consumer._coordinator, consumer._consumer._client
    connection = client._conns[coordinator.coordinator_id, ConnectionGroup.COORDINATION]
    connection._writer.transport.pause_reading()


async def test_commits_go_on_when_the_coordinators_connection_is_dead(bootstrap: str) -> None:
    """Aiokafka would wait for `request_timeout_s`: 40 s by default."""
    options: KafkaOptions = made_options(bootstrap)
    await make_topics(options)
    service = Service(options, Echo(), limits=LIMITS)
    running = asyncio.create_task(service.run(signals=False))
    try:
        await produce(options, [b"first-%d" % number for number in range(40)])
        await until(lambda: service.snapshot().committed == 40)
        deafen(service)
        await produce(options, [b"then-%d" % number for number in range(40)])
        async with asyncio.timeout(15):
            await until(lambda: service.snapshot().committed == 80)
    finally:
        service.stop()
        assert await running == 0
