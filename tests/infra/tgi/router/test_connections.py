"""What a client can hold is bounded: connections, and the time over a request's head."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from infra.tgi import ServerSettings, TgiServer
from infra.tgi import server as server_module
from infra.tgi.engine import Job
from infra.tgi.events import ServerEvent
from infra.tgi.router.http import HttpRouter
from tests.infra.tgi.stand_in import StandIn

_HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
_POST = (
    b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_STREAM = _POST.replace(b"/generate ", b"/generate_stream ")
_CHUNK = b'{"inputs": "emotion"}'


@asynccontextmanager
async def running(engine: StandIn | None = None, **settings: Any) -> AsyncIterator[TgiServer]:
    async with TgiServer(ServerSettings(port=0, **settings), engine=engine or StandIn()) as server:
        yield server


async def connect(server: TgiServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = server.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server closes the connection, or resets it."""
    received = b""
    async with asyncio.timeout(20):
        try:
            while data := await reader.read(65_536):
                received += data
        except ConnectionResetError:
            pass
    return received


async def answered(reader: asyncio.StreamReader) -> bytes:
    """The head of one answer without a body."""
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)


async def asked(server: TgiServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that was answered.

    Where this process is held up for the time of a head, its first request comes too late: then
    another connection is.
    """
    async with asyncio.timeout(20):
        while True:
            reader, writer = await connect(server)
            writer.write(_HEALTH)
            with suppress(asyncio.IncompleteReadError, ConnectionResetError):
                assert (await answered(reader)).startswith(b"HTTP/1.1 200")
                return reader, writer
            writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost:"], ids=["nothing", "a part"])
async def test_a_connection_without_a_whole_head_is_closed_in_time(sent: bytes) -> None:
    async with running(header_seconds=0.2) as server:
        reader, writer = await connect(server)
        writer.write(sent)
        assert await ended(reader) == b""
        writer.close()


async def test_a_head_that_trickles_in_does_not_get_more_time() -> None:
    async with running(header_seconds=0.3) as server:
        reader, writer = await connect(server)
        writer.write(_HEALTH.removesuffix(b"\r\n") + b"X: ")

        async def trickle() -> None:
            while True:
                writer.write(b"a")
                await asyncio.sleep(0.02)  # the attack, not a wait

        trickling = asyncio.ensure_future(trickle())
        assert await ended(reader) == b""
        trickling.cancel()
        writer.close()


async def test_the_next_head_of_a_connection_has_a_deadline_too() -> None:
    async with running(header_seconds=2.0) as server:
        reader, writer = await asked(server)
        writer.write(_HEALTH[:10])
        assert await ended(reader) == b""
        writer.close()


async def test_a_request_that_takes_long_is_not_cut_by_the_deadline_of_heads() -> None:
    engine = StandIn()
    engine.gate.clear()
    async with running(engine, header_seconds=2.0) as server:
        reader, writer = await connect(server)
        writer.write(_POST + b"%x\r\n%b\r\n0\r\n\r\n" % (len(_CHUNK), _CHUNK))
        await asyncio.to_thread(engine.entered.acquire)
        asyncio.get_running_loop().call_later(2.3, engine.gate.set)
        assert (await answered(reader)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_an_idle_connection_is_closed_in_time() -> None:
    async with running(idle_seconds=1.0) as server:
        reader, writer = await connect(server)
        writer.write(_HEALTH)
        assert (await ended(reader)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_body_that_never_ends_is_answered_408_and_its_connection_closed() -> None:
    async with running(body_seconds=0.2) as server:
        reader, writer = await connect(server)
        writer.write(_POST + b"5\r\n")
        head = await answered(reader)
        assert head.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in head.lower()
        writer.close()


async def test_beyond_the_cap_a_connection_is_refused_until_one_is_free() -> None:
    with capture_logs() as logs:
        async with running(max_connections=2) as server:
            held = [await connect(server) for _ in range(2)]
            for reader, writer in held:
                writer.write(_HEALTH)
                assert (await answered(reader)).startswith(b"HTTP/1.1 200")
            for _ in range(3):
                reader, writer = await connect(server)
                assert (await ended(reader)).startswith(b"HTTP/1.1 503")
                writer.close()
            reader, writer = held.pop()
            writer.write(_HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            await ended(reader)  # so the server has let go of it
            writer.close()
            reader, writer = await connect(server)
            writer.write(_HEALTH)
            assert (await answered(reader)).startswith(b"HTTP/1.1 200")
            for _, one in (*held, (reader, writer)):
                one.close()
    full = [entry for entry in logs if entry["event"] == ServerEvent.CONNECTIONS_FULL]
    assert [entry["max_connections"] for entry in full] == [2]


@pytest.mark.parametrize(
    "trailers", [b"a: b\r\n" * 100_000, b"a" * 1_000_000, b"a: " + b"b" * 1_000_000]
)
async def test_trailers_are_bounded(trailers: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs:
        async with running() as server:
            reader, writer = await connect(server)
            writer.write(_POST + b"%x\r\n%b\r\n0\r\n" % (len(_CHUNK), _CHUNK) + trailers)
            received = await ended(reader)
            assert b"200 OK" not in received
            writer.close()
            reader, writer = await connect(server)
            writer.write(_HEALTH)
            assert (await answered(reader)).startswith(b"HTTP/1.1 200")
            writer.close()
    assert ServerEvent.REQUEST_FAILED not in {entry["event"] for entry in logs}
    assert "bbbb" not in caplog.text + str(logs)


async def test_a_clients_bytes_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """They may be a post's text, or a key in the wrong place."""
    with capture_logs() as logs:
        async with running() as server:
            reader, writer = await connect(server)
            writer.write(b"GET / HTTP/1.1\r\nAuthorization Bearer hush\r\n\r\n")
            assert b" 400 " in await ended(reader)
            writer.close()
    assert "hush" not in caplog.text + str(logs)


async def test_a_bug_is_answered_500_and_logged() -> None:
    class Broken(StandIn):
        def batch_key(self, job: Job) -> int:
            raise ZeroDivisionError

    with capture_logs() as logs:
        async with running(Broken()) as server:
            reader, writer = await connect(server)
            writer.write(_POST + b"%x\r\n%b\r\n0\r\n\r\n" % (len(_CHUNK), _CHUNK))
            assert (await answered(reader)).startswith(b"HTTP/1.1 500")
            writer.close()
    failed = [entry for entry in logs if entry["event"] == ServerEvent.REQUEST_FAILED]
    assert [type(entry["exc_info"]) for entry in failed] == [ZeroDivisionError]


async def test_a_client_that_left_before_its_stream_began_is_no_bug() -> None:
    class Left(HttpRouter):
        async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.close()  # as it is between the client's reset and our hearing of it
            return await super().__call__(request)

    with capture_logs() as logs, pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "HttpRouter", Left)
        async with running() as server:
            reader, writer = await connect(server)
            writer.write(_STREAM + b"%x\r\n%b\r\n0\r\n\r\n" % (len(_CHUNK), _CHUNK))
            assert await ended(reader) == b""
            writer.close()
    assert ServerEvent.REQUEST_FAILED not in {entry["event"] for entry in logs}
