"""Stopping aiokafka's clients, whatever they are doing."""

import asyncio

from runtime.kafka.aiokafka_brokers import AiokafkaConsumer
from runtime.kafka.stopping import stop_consumer, stop_producer
from tests.consumer.delivery.rig import options


class InterruptedFetch:
    """aiokafka's consumer while a fetch is about to be repeated: `stop` ends as if cancelled."""

    def __init__(self) -> None:
        self.fetch = asyncio.ensure_future(asyncio.sleep(60))
        self.other = asyncio.ensure_future(asyncio.sleep(60))
        self._fetcher = self
        self._client = self
        self._pending_tasks = [self.fetch, self.other]
        self.closed = False

    async def stop(self) -> None:
        self.fetch.cancel()
        await self.fetch

    async def close(self) -> None:
        self.closed = True


async def test_a_stop_while_a_fetch_is_repeated_is_a_clean_one() -> None:
    """Else SIGTERM, just when the broker is lost, ends with a traceback and exit 1."""
    consumer = AiokafkaConsumer(options())
    consumer._consumer = real = InterruptedFetch()
    await consumer.stop()
    assert real.closed
    await asyncio.wait((real.other,))
    assert real.other.cancelled()


async def test_a_topic_that_is_read_ends_cleanly_just_when_its_broker_is_lost() -> None:
    real = InterruptedFetch()
    assert await stop_consumer(real, within_s=5)
    assert real.fetch.cancelled()
    assert real.closed


class Slow:
    """aiokafka's consumer and producer in one, whose `stop` never ends."""

    def __init__(self) -> None:
        self._sync_task = asyncio.ensure_future(asyncio.sleep(60))
        self.sender_task = asyncio.ensure_future(asyncio.sleep(60))
        self.client = self._client = self._sender = self
        self._conns: dict[int, None] = {}
        self._fetcher = self._coordinator = None

    async def stop(self) -> None:
        await asyncio.Event().wait()


async def test_a_cancellation_of_ours_is_not_swallowed() -> None:
    client = Slow()
    stopping = asyncio.ensure_future(stop_consumer(client, within_s=60))
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait((stopping, client._sync_task))
    assert stopping.cancelled()
    assert client._sync_task.cancelled()
    client.sender_task.cancel()


async def test_what_does_not_stop_is_cut_off_after_its_time() -> None:
    client = Slow()
    assert not await stop_producer(client, within_s=0)
    await asyncio.wait((client._sync_task, client.sender_task))
    assert client._sync_task.cancelled()
    assert client.sender_task.cancelled()
