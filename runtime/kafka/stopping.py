"""Stopping aiokafka's clients within a time, brokers or no brokers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

_LAST_S = 1.0
"""For what was cancelled to end."""


async def stop_consumer(consumer: AIOKafkaConsumer, *, within_s: float) -> bool:
    """Leave the group, if any, and disconnect; False where that took too long or failed.

    aiokafka waits for a fetch that it has cancelled itself, and takes that for its own end: the
    group is left by then, the connections aren't closed. Here that is no end of the caller's.
    """
    cancelled, done = await _within(consumer.stop, within_s)
    if cancelled:
        client: Any = consumer
        for fetch in client._fetcher._pending_tasks:  # noqa: SLF001 - stop() didn't
            fetch.cancel()
        _, done = await _within(client._client.close, within_s)  # noqa: SLF001
    return done


async def stop_in_time(stop: Callable[[], Awaitable[Any]], *, within_s: float) -> bool:
    """Call a client's `stop`; False where it took too long or a broker was in its way."""
    _, done = await _within(stop, within_s)
    return done


async def _within(stop: Callable[[], Awaitable[Any]], within_s: float) -> tuple[bool, bool]:
    """Whether it was cancelled from inside, and whether it ended in order."""
    stopping = asyncio.ensure_future(stop())
    try:
        await asyncio.wait((stopping,), timeout=within_s)
    finally:
        ended = stopping.done()
        stopping.cancel()
    if not ended:
        await asyncio.wait((stopping,), timeout=_LAST_S)
        return False, False
    if stopping.cancelled():
        return True, False
    error = stopping.exception()
    if error is not None and not isinstance(error, KafkaError):
        raise error
    return False, error is None
