"""Stopping aiokafka's clients within a time, brokers or no brokers.

A client that could not be stopped in order is cut off: else its tasks would ask the brokers for
metadata and records for as long as the process runs, and its connections stay open.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from runtime.kafka.unclosed import drop
from runtime.kafka.unread import abandon

_LAST_S = 1.0
"""For what was cancelled to end."""


async def stop_consumer(consumer: AIOKafkaConsumer, *, within_s: float) -> bool:
    """Leave the group, if any, and disconnect; False where that took too long or failed.

    aiokafka waits for a fetch that it has cancelled itself, and takes that for its own end: the
    group is left by then, the connections aren't closed. Here that is no end of the caller's.
    """
    done = False
    try:
        cancelled, done = await _within(consumer.stop, within_s)
        if cancelled:
            client: Any = consumer
            for fetch in client._fetcher._pending_tasks:  # noqa: SLF001 - stop() didn't
                fetch.cancel()
            _, done = await _within(client._client.close, within_s)  # noqa: SLF001
    finally:
        if not done:
            _cut_off_consumer(consumer)
    return done


async def stop_producer(producer: AIOKafkaProducer, *, within_s: float) -> bool:
    """Send what is buffered, and disconnect; False where that took too long or failed.

    Then what wasn't sent is dropped, and its futures stay as they are: whether a record that was
    under way has been written isn't known.
    """
    done = False
    try:
        _, done = await _within(producer.stop, within_s)
    finally:
        if not done:
            cut_off_producer(producer)
    return done


def cut_off_producer(producer: Any) -> None:
    """End, at once, what a producer does and is connected to."""
    _cut_off(producer.client, [producer._sender.sender_task])  # noqa: SLF001 - stop() didn't


def _cut_off_consumer(consumer: Any) -> None:
    """End, at once, what a consumer does and is connected to."""
    tasks: list[asyncio.Task[Any] | None] = []
    if (fetcher := consumer._fetcher) is not None:  # noqa: SLF001 - stop() didn't
        tasks += [fetcher._fetch_task, *fetcher._pending_tasks]  # noqa: SLF001 - likewise
    for name in ("coordination", "heartbeat", "commit_refresh", "reset_committed"):
        # One without a group has the last one alone; before it has begun, none.
        tasks.append(getattr(consumer._coordinator, f"_{name}_task", None))  # noqa: SLF001
    _cut_off(consumer._client, tasks)  # noqa: SLF001 - likewise


def _cut_off(client: Any, tasks: "list[asyncio.Task[Any] | None]") -> None:
    running = [task for task in (client._sync_task, *tasks) if task is not None]  # noqa: SLF001
    abandon(running)
    for task in running:
        task.cancel()
    drop(client)


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
