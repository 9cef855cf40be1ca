"""Fixtures of the commands' tests."""

import asyncio
from collections.abc import AsyncIterator

import pytest


@pytest.fixture
async def silent_broker() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """One that takes connections and says nothing; the event is set by the first request.

    Not by the first connection: `wait_for` of Python 3.11, by which aiokafka connects, loses a
    cancellation that comes in the same turn of the loop as what it waits for.
    """
    reached = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            reached.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}", reached
