"""What a client can hold of a small HTTP server is bounded."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web

from runtime.http_listener import HttpListener

_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
_GET_OTHER = b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def listening(
    other: Callable[[web.Request], Awaitable[web.Response]] | None = None, **limits: Any
) -> AsyncIterator[HttpListener]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", answer)
    app.router.add_get("/other", other or answer)
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
    async with listening(head_s=2.0) as listener:
        reader, writer = await asked(listener)
        # Its deadline begins later: once this one is closed, the first one's would be over.
        silent, other = await connect(listener)
        assert await ended(silent) == b""
        writer.write(_GET)
        assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")
        writer.close()
        other.close()


async def asked(listener: HttpListener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that was answered.

    Where this process is held up for the time of a head, its first request comes too late: then
    another connection is.
    """
    async with asyncio.timeout(20):
        while True:
            connection = await connect(listener)
            with suppress(asyncio.IncompleteReadError, ConnectionResetError):
                await answered(connection)
                return connection
            connection[1].close()


async def answered(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    reader, writer = connection
    writer.write(_GET)
    assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")


async def test_a_connection_too_many_closes_the_one_that_was_idle_for_longest() -> None:
    """Who leaks connections, or holds them all, keeps no probe from its answer."""
    async with listening(max_connections=3) as listener:
        silent, first, second = [await connect(listener) for _ in range(3)]
        await answered(first)
        await answered(second)
        await answered(first)
        new = []
        for longest, writer in (silent, second, first):
            new.append(await connect(listener))
            await answered(new[-1])
            assert await ended(longest) == b""
            writer.close()
        for _, writer in new:
            writer.close()


async def test_a_client_that_does_not_read_its_answer_holds_no_place() -> None:
    begun = asyncio.Event()

    async def other(_: web.Request) -> web.Response:
        begun.set()
        return web.Response(body=bytes(64 * 1024 * 1024))

    async with listening(other, max_connections=1) as listener:
        _, deaf = await connect(listener)
        deaf.write(_GET_OTHER)
        await begun.wait()
        new = await connect(listener)
        await answered(new)
        deaf.transport.abort()
        new[1].close()


async def test_a_connection_too_many_is_refused_while_all_are_being_answered() -> None:
    """As a viewer's stream is, for as long as it is looked at."""
    begun, over = asyncio.Event(), asyncio.Event()

    async def other(_: web.Request) -> web.Response:
        begun.set()
        await over.wait()
        return web.Response(text="there")

    async with listening(other, max_connections=1) as listener:
        reader, writer = await connect(listener)
        writer.write(_GET_OTHER)
        await begun.wait()
        refused, late = await connect(listener)
        assert (await ended(refused)).startswith(b"HTTP/1.1 503")
        over.set()
        assert (await reader.readuntil(b"there")).startswith(b"HTTP/1.1 200")
        writer.close()
        late.close()


async def test_connections_that_ended_while_being_answered_leave_their_places() -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def other(_: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()
        raise AssertionError

    async with listening(other, max_connections=1, handler_cancellation=True) as listener:
        for _ in range(3):
            begun.clear()
            over.clear()
            _, writer = await connect(listener)
            writer.write(_GET_OTHER)
            await begun.wait()
            writer.transport.abort()
            await over.wait()
        new = await connect(listener)
        await answered(new)
        new[1].close()


async def test_an_address_that_is_taken_is_an_os_error() -> None:
    async with listening() as listener:
        port = int(listener.url.rpartition(":")[2])
        second = HttpListener(web.Application(), max_connections=1)
        with pytest.raises(OSError, match="in use"):
            await second.start("127.0.0.1", port)


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n\r\n"],
    ids=["TLS", "a line too long"],
)
async def test_what_is_no_request_is_refused_and_no_error_in_the_logs(
    caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    async with listening() as listener:
        reader, writer = await connect(listener)
        writer.write(sent)
        assert b" 400 " in await ended(reader)
        writer.close()
    assert caplog.records == []


async def test_an_error_of_ours_is_in_the_logs(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: web.Request) -> web.Response:
        raise RuntimeError("a bug")

    async with listening(broken) as listener:
        reader, writer = await connect(listener)
        writer.write(_GET_OTHER)
        assert b" 500 " in await reader.readline()
        writer.close()
    assert "a bug" in caplog.text
