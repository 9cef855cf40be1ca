"""A local server that takes notifications, fails, stalls or redirects as a test wants."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from tests.http_server import serving


class Receiver:
    """Answers 200, unless `answers` holds something else for the next requests."""

    def __init__(self) -> None:
        self.answers: deque[int | tuple[int, dict[str, str]]] = deque()
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self.released = asyncio.Event()
        """Ends the requests that stall (those answered with 0)."""
        self.came = asyncio.Event()
        """Set by each request."""
        self.url = ""

    @property
    def json(self) -> Any:
        """The latest body."""
        return msgspec.json.decode(self.bodies[-1])

    async def handle(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.headers.append(request.headers)
        self.paths.append(request.path)
        self.came.set()
        answer = self.answers.popleft() if self.answers else 200
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        if status == 0:
            await self.released.wait()
            status = 200
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with serving(("*", "/{path:.*}", receiver.handle)) as receiver.url:
        try:
            yield receiver
        finally:
            receiver.released.set()
