"""Connections to a model server that don't come about."""

import asyncio
import contextlib
import socket
from typing import Any

import aiohappyeyeballs
import pytest

from emollm.clients import HttpTransport, NoAnswer, ServerOptions
from emollm.clients.connection import Connection
from emollm.clients.lookup import AddressInfo
from emollm.clients.transport import ConnectionLost, NotConnected
from tests.raw_http import Connection as Accepted
from tests.raw_http import RawServer, Request, answering, http

OK = b'{"generated_text":"joy"}'

pytestmark = pytest.mark.asyncio(loop_scope="module")  # on each loop of conftest.py


async def test_a_connection_that_is_closed_as_soon_as_it_is_made_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything was asked: by a proxy that answers 408 at once, say."""

    class Closed(Connection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._wrong = "an answer to no question"

    monkeypatch.setattr("emollm.clients.http_transport.Connection", Closed)
    async with RawServer(answering(200, OK)) as server:
        transport = HttpTransport(ServerOptions(url=server.url))
        with pytest.raises(NotConnected):
            await transport.post("/generate", b"{}", 5.0)
        await transport.aclose()
    assert not server.requests


async def test_a_server_that_closes_each_connection_at_once_is_no_answer() -> None:
    """As one does whose accept queue is served by a program that is going down."""

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport = HttpTransport(ServerOptions(url=f"http://127.0.0.1:{port}"))
        for calls in (1, 30):
            asked = (transport.post("/generate", b"{}", 5.0) for _ in range(calls))
            errors = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(error, NoAnswer) for error in errors), errors
        await transport.aclose()


async def test_a_server_that_dies_of_a_request_is_not_one_that_was_never_asked() -> None:
    """Nobody listens any more when the request is to be sent again.

    Taken for one that was never sent, a prompt that kills its server would be asked first of all
    once that is back, without end.
    """

    async def behave(_: Request, connection: Accepted) -> None:
        if connection.served:
            server._server.close()
            connection.abort()
        else:
            await connection.write(http(200, OK))

    async with RawServer(behave) as server:
        transport = HttpTransport(ServerOptions(url=server.url))
        await transport.post("/generate", b"{}", 5.0)
        with pytest.raises(ConnectionLost, match="without an answer"):
            await transport.post("/generate", b"{}", 5.0)
        with pytest.raises(NotConnected):
            await transport.post("/generate", b"{}", 5.0)
        await transport.aclose()


async def test_closing_while_the_name_is_looked_up_is_no_answer_and_cancels_nobody() -> None:
    asked = asyncio.Event()

    async def never(_host: str, _port: int) -> list[AddressInfo]:
        asked.set()
        await asyncio.Event().wait()
        return []

    transport = HttpTransport(ServerOptions(url="http://gpu.internal:80"), get_addresses=never)
    calls = [asyncio.ensure_future(transport.post("/generate", b"{}", 5.0)) for _ in range(2)]
    await asked.wait()
    await transport.aclose()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(error, NoAnswer) for error in errors] == [True, True], errors


async def test_a_call_that_is_cancelled_while_it_connects_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even if the library has its connection in that same moment and keeps the cancelling."""
    connect, connected = aiohappyeyeballs.start_connection, asyncio.Event()

    async def stubborn(*args: Any, **options: Any) -> socket.socket:
        sock: socket.socket = await connect(*args, **options)
        connected.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return sock

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", stubborn)
    async with RawServer(answering(200, OK)) as server:
        transport = HttpTransport(ServerOptions(url=server.url))
        call = asyncio.ensure_future(transport.post("/generate", b"{}", 5.0))
        await connected.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await transport.aclose()
    assert not server.requests


async def test_connecting_has_a_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emollm.clients.http_transport.CONNECT_TIMEOUT_S", 0.05)
    async with RawServer(answering(200, OK)) as server:  # it waits for HTTP, the client for TLS
        transport = HttpTransport(ServerOptions(url=server.url.replace("http:", "https:")))
        with pytest.raises(NoAnswer, match="connecting"):
            await transport.post("/generate", b"{}", 30.0)
        await transport.aclose()


async def test_a_name_that_nobody_knows_is_no_answer() -> None:
    transport = HttpTransport(ServerOptions(url="http://no-such-host.invalid"))
    with pytest.raises(NoAnswer):
        await transport.get("/info", 5.0)
    await transport.aclose()
