"""What a client can hold of a small HTTP server is bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from runtime.http_listener import HttpListener

_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def listening(**limits: Any) -> AsyncIterator[HttpListener]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", answer)
    listener = HttpListener(app, **{"max_connections": 10, **limits})
    await listener.start("127.0.0.1", 0)
    try:
        yield listener
    finally:
        await listener.stop()


async def connect(listener: HttpListener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = listener.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server closes the connection."""
    async with asyncio.timeout(20):
        return await reader.read()


@pytest.mark.parametrize("sent", [b"", _GET[:20]], ids=["nothing", "a part of a head"])
async def test_a_connection_that_asks_nothing_is_closed(sent: bytes) -> None:
    async with listening(head_s=0.2) as listener:
        reader, writer = await connect(listener)
        writer.write(sent)
        assert await ended(reader) == b""
        writer.close()


async def test_a_connection_that_asked_is_closed_once_it_was_idle() -> None:
    async with listening(idle_s=0.05) as listener:
        reader, writer = await connect(listener)
        writer.write(_GET)
        assert (await ended(reader)).endswith(b"here")
        writer.close()


async def test_the_time_for_a_head_does_not_end_a_connection_that_asked() -> None:
    # Long enough for a busy machine to read the first request within it.
    async with listening(head_s=2.0) as listener:
        reader, writer = await connect(listener)
        # Closed just before the second request, this one is: its deadline began earlier.
        silent, other = await connect(listener)
        writer.write(_GET)
        assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")
        assert await ended(silent) == b""
        writer.write(_GET)
        assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")
        writer.close()
        other.close()


async def test_a_connection_too_many_is_refused_whatever_it_sends() -> None:
    async with listening(max_connections=1) as listener:
        reader, writer = await connect(listener)
        writer.write(_GET)
        assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")
        refused, other = await connect(listener)
        assert (await ended(refused)).startswith(b"HTTP/1.1 503")
        writer.close()
        other.close()


async def test_an_address_that_is_taken_is_an_os_error() -> None:
    async with listening() as listener:
        port = int(listener.url.rpartition(":")[2])
        second = HttpListener(web.Application(), max_connections=1)
        with pytest.raises(OSError, match="in use"):
            await second.start("127.0.0.1", port)
