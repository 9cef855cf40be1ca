"""HTTP dispatch: routes, API key, CORS, body size and content type; then a handler is called."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from infra.tgi.router.errors import InferError
from infra.tgi.router.requests import BodyError
from infra.tgi.router.responses import empty_response, error_response, text_response

#: TGI's (axum's) limit of a body, in bytes.
MAX_BODY = 2_000_000

_JSON = re.compile(r"application/(?:[\w.!#$&^+-]+\+)?json\s*(?:;|$)", re.IGNORECASE)
_VARY = {"Vary": "origin, access-control-request-method, access-control-request-headers"}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET,POST",
    "Access-Control-Allow-Headers": "content-type",
}


class Request(web.BaseRequest):
    """A request; `cors` are the headers that its response must carry, a stream's too."""

    cors: Mapping[str, str] = {}


Post = Callable[[Request, bytes], Awaitable[web.StreamResponse]]
Get = Callable[[], Awaitable[web.StreamResponse] | web.StreamResponse]


def make_request(
    message: Any,
    payload: Any,
    protocol: Any,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> Request:
    """Aiohttp's request factory, with TGI's limit of a body."""
    loop = asyncio.get_running_loop()
    return Request(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)


class HttpRouter:
    """Answers HTTP requests from tables of routes.

    `keyed` POST routes want the API key, where there is one. `cors_allow_origin` are the web
    origins that may read the answers; none given means any, as in TGI. A body must arrive within
    `body_seconds`. Once `drain` is called each answer closes its connection.
    """

    def __init__(
        self,
        *,
        get: Mapping[str, Get],
        keyed: Mapping[str, Post],
        free: Mapping[str, Post],
        api_key: str | None,
        cors_allow_origin: Sequence[str] = (),
        body_seconds: float,
    ) -> None:
        self._get = get
        self._keyed = keyed
        self._free = free
        self._secret = None if api_key is None else _folded(f"Bearer {api_key}")
        self._origins = frozenset(cors_allow_origin)
        self._body_seconds = body_seconds
        self._draining = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        assert isinstance(request, Request)
        self._in_flight += 1
        self._idle.clear()
        request.cors = self._cors(request)
        try:
            response = await self._answer(request)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
        if not response.prepared:
            response.headers.update(request.cors)
        if self._draining:
            response.force_close()
        return response

    async def drain(self, seconds: float) -> bool:
        """Wait for what is in flight, at most `seconds`; True when all of it is answered."""
        self._draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _cors(self, request: Request) -> Mapping[str, str]:
        if not self._origins:
            return {**_VARY, "Access-Control-Allow-Origin": "*"}
        origin = request.headers.get(hdrs.ORIGIN)
        if origin in self._origins:
            return {**_VARY, "Access-Control-Allow-Origin": origin}
        return _VARY

    async def _answer(self, request: Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        method = request.method
        if method == hdrs.METH_OPTIONS:
            return empty_response(200, _PREFLIGHT)
        get, post = self._get.get(path), self._keyed.get(path)
        if post is None:
            post = self._free.get(path)
        elif (get is None or method == hdrs.METH_POST) and not self._authorized(request):
            return empty_response(401)
        if method == hdrs.METH_POST and post is not None:
            return await self._post(request, post)
        if method in {hdrs.METH_GET, hdrs.METH_HEAD} and get is not None:
            found = get()
            return found if isinstance(found, web.StreamResponse) else await found
        if get is None and post is None:
            return empty_response(404)
        allow = ",".join(
            name for name, known in (("GET,HEAD", get), ("POST", post)) if known is not None
        )
        return empty_response(405, {"Allow": allow})

    def _authorized(self, request: Request) -> bool:
        if self._secret is None:
            return True
        # As TGI: the whole header, without regard to case. In constant time, so that the time
        # an answer takes doesn't tell how much of a guess is right.
        given = _folded(request.headers.get(hdrs.AUTHORIZATION, ""))
        return hmac.compare_digest(given, self._secret)

    async def _post(self, request: Request, handler: Post) -> web.StreamResponse:
        if not _JSON.match(request.headers.get(hdrs.CONTENT_TYPE, "")):
            return text_response(
                "Expected request with `Content-Type: application/json`", status=415
            )
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await self._body(request)
        except web.HTTPRequestEntityTooLarge:
            return text_response(
                "Failed to buffer the request body: length limit exceeded", status=413
            )
        except TimeoutError:
            response = text_response("The request body took too long to arrive", status=408)
            response.force_close()
            return response
        try:
            return await handler(request, body)
        except InferError as error:
            return error_response(error)
        except BodyError as error:
            return text_response(str(error), status=error.status)

    @staticmethod
    async def _body(request: Request) -> bytes:
        length = request.content_length
        if length is not None and length > MAX_BODY:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY, length)
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        return await request.read()


def _folded(header: str) -> bytes:
    return header.lower().encode("utf-8", "surrogateescape")
