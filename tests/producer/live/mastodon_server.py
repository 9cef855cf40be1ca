"""A Mastodon of the tests: timelines with min_id, and a stream that a test writes by hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from producer.live.mastodon.timeline import id_at
from tests.http_server import serving

TOKEN = "made-up-user-token"


def status(number: int, time_us: int, **changes: Any) -> dict[str, Any]:
    """A public status; its id says `time_us`."""
    found: dict[str, Any] = {
        "id": str(id_at(time_us) + number),
        "uri": uri(number),
        "url": f"https://example.social/@a/{number}",
        "created_at": "2026-01-31T08:15:30.000Z",
        "edited_at": None,
        "content": f"<p>post <b>{number}</b></p>",
        "spoiler_text": "",
        "language": "en",
        "visibility": "public",
        "reblog": None,
        "tags": [{"name": "trains"}],
        "account": {"acct": "a", "bot": False, "indexable": True, "noindex": None, "note": ""},
    }
    account = {**found["account"], **changes.pop("account", {})}
    return {**found, "account": account, **changes}


def uri(number: int) -> str:
    return f"https://example.social/users/a/statuses/{number}"


def sse(name: str, data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return f"event: {name}\ndata: {text}\n\n".encode()


Stream = Callable[["MastodonServer", web.StreamResponse], Awaitable[None]]
"""What one connection of the stream sends."""


async def quiet(_: "MastodonServer", response: web.StreamResponse) -> None:
    """Keep alive and say nothing."""
    await asyncio.get_running_loop().create_future()


def saying(*parts: bytes, stay: bool = True) -> Stream:
    async def stream(_: "MastodonServer", response: web.StreamResponse) -> None:
        for part in parts:
            await response.write(part)
        if stay:
            await asyncio.get_running_loop().create_future()

    return stream


class MastodonServer:
    """Its streams go by turns; the last one stays."""

    def __init__(self, statuses: Sequence[dict[str, Any]], *streams: Stream) -> None:
        self.statuses = list(statuses)
        self.streams = list(streams) or [quiet]
        self.opened = 0
        self.half_begun = 0
        """So many of the next streams don't get past their headers, and stay there."""
        self.pages: list[dict[str, str]] = []
        self.limited: list[dict[str, str]] = []
        """Headers of the next answers, which are 429."""
        self.last_allowed: dict[str, str] = {}
        """Headers of each answer, in place of those that allow many more requests."""
        self.access: dict[str, Any] = {}
        self.url = ""

    async def instance(self, _: web.Request) -> web.Response:
        urls = {"streaming": self.url.replace("http", "ws")}
        return web.json_response({"configuration": {"urls": urls, "timelines_access": self.access}})

    async def timeline(self, request: web.Request) -> web.Response:
        self.pages.append(dict(request.query))
        if self.limited:
            return web.Response(status=429, headers=self.limited.pop(0))
        least = int(request.query["min_id"])
        newer = sorted(
            (one for one in self.statuses if int(one["id"]) > least), key=lambda one: int(one["id"])
        )
        page = newer[: int(request.query["limit"])][::-1]
        headers = dict(self.last_allowed or {"X-RateLimit-Remaining": "299"})
        if page:
            headers["Link"] = f'<http://evil.example/x?min_id={page[0]["id"]}>; rel="prev"'
        return web.json_response(page, headers=headers)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "This method requires a user"}, status=401)
        if self.half_begun:
            self.half_begun -= 1
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 200 OK\r\nX-Slow: a")
            await asyncio.get_running_loop().create_future()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b":)\n")
        self.opened += 1
        await self.streams[min(self.opened, len(self.streams)) - 1](self, response)
        return response


@asynccontextmanager
async def mastodon(
    statuses: Sequence[dict[str, Any]], *streams: Stream
) -> AsyncIterator[MastodonServer]:
    server = MastodonServer(statuses, *streams)
    async with serving(
        ("GET", "/api/v2/instance", server.instance),
        ("GET", "/api/v1/timelines/{path:.*}", server.timeline),
        ("GET", "/api/v1/streaming/{path:.*}", server.stream),
    ) as url:
        server.url = url
        yield server
