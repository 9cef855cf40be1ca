"""https written for http and the reverse, against real sockets: the error says which to write."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from emollm.clients import HttpTransport, ServerOptions, detect
from emollm.clients.transport import NotConnected
from emollm.errors import ModelError, Unavailable, WrongRequest
from tests.raw_http import RawServer, answering


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@asynccontextmanager
async def refusing_what_is_not_http() -> AsyncIterator[str]:
    """As web servers do with a TLS handshake: 400 at once. Yields `127.0.0.1:port`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(16)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def found(url: str) -> ModelError:
    client = await detect(ServerOptions(url=url), timeout_s=5.0)
    assert isinstance(client, ModelError)
    return client


async def test_https_to_a_server_of_http_says_so_with_the_url_to_write() -> None:
    async with refusing_what_is_not_http() as address:
        error = await found(f"https://{address}")
        assert isinstance(error, WrongRequest)
        assert str(error) == f"it speaks http, not https: write http://{address} in model.servers"


async def test_http_to_a_server_of_https_says_so_with_the_url_to_write(
    tls: ssl.SSLContext,
) -> None:
    async with RawServer(answering(200), tls=tls) as server:
        error = await found(server.url.replace("https:", "http:"))
        assert isinstance(error, WrongRequest)
        assert str(error) == f"it speaks https, not http: write {server.url} in model.servers"


async def test_a_server_that_fails_with_the_right_scheme_is_not_told_to_change_it() -> None:
    async with RawServer(answering(503)) as server:
        assert isinstance(await found(server.url), Unavailable)


async def test_nobody_there_is_no_matter_of_the_scheme() -> None:
    async with RawServer(answering(200)) as server:
        url = server.url
    assert isinstance(await found(url), Unavailable)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_name_that_no_resolver_takes_is_no_matter_of_the_scheme(scheme: str) -> None:
    assert isinstance(await found(f"{scheme}://g\0pu"), Unavailable)


async def test_a_named_dialect_gets_the_hint_with_the_first_request() -> None:
    async with refusing_what_is_not_http() as address:
        transport = HttpTransport(ServerOptions(url=f"https://{address}"))
        with pytest.raises(NotConnected, match="http:// instead of https://"):
            await transport.get("/info", 5.0)
        await transport.aclose()
