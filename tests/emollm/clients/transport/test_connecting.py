"""Connections to a model server that don't come about."""

import asyncio

import pytest

from emollm.clients import HttpTransport, NoAnswer, ServerOptions
from emollm.clients.connection import Connection
from emollm.clients.transport import NotConnected
from tests.raw_http import RawServer, answering

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
