"""Fixtures of the commands' tests."""

import asyncio
from collections.abc import AsyncIterator

import pytest


@pytest.fixture
async def silent_broker() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """One that takes connections and says nothing; the event is set by the first."""
    reached = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}", reached
