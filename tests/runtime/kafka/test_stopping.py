"""Stopping aiokafka's consumer, whatever it is doing."""

import asyncio

from runtime.kafka.aiokafka_brokers import AiokafkaConsumer
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
