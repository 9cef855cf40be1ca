"""The HTTP clients of the hand-written consumers, set as their authors advise."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import yarl

from bench.peers.work import Ask

CONNECTIONS = 128
"""As many as emostream's default for one server."""
_HEADERS = {"content-type": "application/json"}


@asynccontextmanager
async def aiohttp_client(url: str) -> AsyncIterator[Ask]:
    """One session, no cookies, a URL parsed once."""
    target = yarl.URL(f"{url}/generate")
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
    ) as session:

        async def ask(body: bytes) -> bytes:
            async with session.post(target, data=body) as response:
                response.raise_for_status()
                return await response.read()

        yield ask


@asynccontextmanager
async def pyreqwest_client(url: str) -> AsyncIterator[Ask]:
    """The fastest HTTP client on PyPI that keeps to asyncio."""
    from pyreqwest.client import ClientBuilder  # noqa: PLC0415 - this peer's own

    target = f"{url}/generate"
    builder = ClientBuilder().max_connections(CONNECTIONS).error_for_status().no_proxy()
    async with builder.default_headers(_HEADERS).build() as client:

        async def ask(body: bytes) -> Any:
            response = await client.post(target).body_bytes(body).build().send()
            return await response.bytes()

        yield ask


CLIENTS = {"aiohttp": aiohttp_client, "pyreqwest": pyreqwest_client}
