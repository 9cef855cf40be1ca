"""Whatever becomes of a client, nothing of it goes on: no connection, no task."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import ProducerClosed
from aiokafka.protocol.metadata import MetadataRequest

from infra.kafka import EmbeddedKafka
from infra.kafka.topics import TopicSpec, create_topics
from runtime.kafka import unclosed
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.connection import Broker
from runtime.kafka.producing import kafka_producer
from runtime.kafka.stopping import stop_consumer
from tests.consumer.delivery.rig import options
from tests.polling import until

pytestmark = pytest.mark.kafka


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every connection that is made from now on."""
    unclosed.install()
    made: list[Any] = []
    connect = AIOKafkaConnection.connect

    async def noted(self: Any) -> Any:
        made.append(self)
        return await connect(self)

    monkeypatch.setattr(AIOKafkaConnection, "connect", noted)
    return made


@pytest.fixture
async def tasks() -> AsyncIterator[None]:
    """No task is left behind; what was cancelled may take a moment to end."""
    before = asyncio.all_tasks()
    yield
    mine = asyncio.current_task()
    if left := asyncio.all_tasks() - before - {mine}:
        _, still = await asyncio.wait(left, timeout=30)
        assert not still


@asynccontextmanager
async def frozen(kafka: EmbeddedKafka) -> AsyncIterator[None]:
    """It answers nobody: its many threads stop one after the other."""
    assert kafka.pid is not None
    threads = Path(f"/proc/{kafka.pid}/task")

    def stopped() -> bool:
        try:
            stats = [one.read_text() for one in threads.glob("*/stat")]
        except OSError:  # a thread that has just ended
            return False
        return {stat.rpartition(")")[2].split()[0] for stat in stats} == {"T"}

    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        await until(stopped)
        yield
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


async def test_a_client_that_is_given_up_while_it_asks_for_the_brokers(
    bootstrap: str, opened: list[Any], tasks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()
    send = AIOKafkaConnection.send

    def unanswered(self: Any, request: Any, **more: Any) -> Any:
        if not isinstance(request, MetadataRequest):
            return send(self, request, **more)
        asked.set()
        return asyncio.get_running_loop().create_future()

    monkeypatch.setattr(AIOKafkaConnection, "send", unanswered)
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    starting = asyncio.ensure_future(client.bootstrap())
    await asked.wait()
    (connection,) = opened
    assert connection.connected()
    starting.cancel()
    await asyncio.wait((starting,))
    assert starting.cancelled()
    assert not connection.connected()
    await client.close()


async def test_a_connection_that_comes_about_after_its_client_was_closed(
    bootstrap: str, opened: list[Any], tasks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    begun, go_on = asyncio.Event(), asyncio.Event()
    connect = AIOKafkaConnection.connect

    async def late(self: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await connect(self)

    monkeypatch.setattr(AIOKafkaConnection, "connect", late)
    asking = asyncio.ensure_future(client.ready(client.get_random_node()))
    await begun.wait()
    await client.close()
    go_on.set()
    await asking
    assert len(opened) == 2  # the one that asked for the brokers, and this one
    assert not any(one.connected() for one in opened)


@pytest.fixture
async def own_kafka() -> AsyncIterator[EmbeddedKafka]:
    """Frozen for longer than its lease, it is no part of its cluster for a moment afterwards.

    Of the one that the tests share, the next test would know no broker.
    """
    async with EmbeddedKafka() as broker:
        yield broker


async def test_clients_whose_broker_is_frozen(
    own_kafka: EmbeddedKafka, opened: list[Any], tasks: None
) -> None:
    kafka = own_kafka
    topic = f"frozen-{secrets.token_hex(4)}"
    await create_topics({"bootstrap_servers": kafka.bootstrap}, [TopicSpec(topic, 1)])
    chosen = options(bootstrap=kafka.bootstrap, input_topics=(topic,), group_id=topic)
    brokers = AiokafkaBrokers(chosen)
    member, producer = brokers.consumer(), brokers.producer()
    await member.start()
    await producer.start()
    await (await producer.send(topic, key=None, value=b"event", headers=()))
    reader = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap)
    await reader.start()
    async with kafka_producer(Broker(bootstrap=kafka.bootstrap)) as other:
        await (await other.send(topic, value=b"event"))
        async with frozen(kafka):
            unsent = await producer.send(topic, key=None, value=b"event", headers=())
            await other.send(topic, value=b"x" * 100_000)
            await asyncio.gather(
                member.stop(timeout_s=0.2),
                producer.stop(timeout_s=0.2),
                stop_consumer(reader, within_s=0.2),
            )
            assert isinstance(unsent.exception(), ProducerClosed)
    assert opened
    assert not any(one.connected() for one in opened)
