"""HTTP dispatch: routes, the API key, body size and content type, before a handler is called."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import hdrs, web

from infra.tgi.router.errors import InferError
from infra.tgi.router.requests import BodyError
from infra.tgi.router.responses import empty_response, error_response, text_response

#: TGI's (axum's) limit of a body, in bytes.
MAX_BODY = 2_000_000

_JSON = re.compile(r"application/(?:[\w.!#$&^+-]+\+)?json\s*(?:;|$)", re.IGNORECASE)
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Vary": "origin, access-control-request-method, access-control-request-headers",
}
_PREFLIGHT = {
    **_CORS,
    "Access-Control-Allow-Methods": "GET,POST",
    "Access-Control-Allow-Headers": "content-type",
}

Post = Callable[[web.BaseRequest, bytes], Awaitable[web.StreamResponse]]
Get = Callable[[], Awaitable[web.StreamResponse] | web.StreamResponse]


class HttpRouter:
    """Answers HTTP requests from tables of routes.

    `keyed` POST routes want the API key, where there is one. Once `drain` is called each answer
    closes its connection.
    """

    def __init__(
        self,
        *,
        get: Mapping[str, Get],
        keyed: Mapping[str, Post],
        free: Mapping[str, Post],
        api_key: str | None,
    ) -> None:
        self._get = get
        self._keyed = keyed
        self._free = free
        self._secret = None if api_key is None else f"Bearer {api_key}".lower()
        self._draining = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        self._in_flight += 1
        self._idle.clear()
        try:
            response = await self._answer(request)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
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

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        method = request.method
        if method == hdrs.METH_OPTIONS:
            return empty_response(200, _PREFLIGHT)
        get, post = self._get.get(path), self._keyed.get(path)
        if post is None:
            post = self._free.get(path)
        elif (get is None or method == hdrs.METH_POST) and not self._authorized(request):
            return empty_response(401, _CORS)
        if method == hdrs.METH_POST and post is not None:
            response = await self._post(request, post)
        elif method in {hdrs.METH_GET, hdrs.METH_HEAD} and get is not None:
            found = get()
            response = found if isinstance(found, web.StreamResponse) else await found
        elif get is None and post is None:
            return empty_response(404, _CORS)
        else:
            allow = ",".join(
                name for name, known in (("GET,HEAD", get), ("POST", post)) if known is not None
            )
            return empty_response(405, {**_CORS, "Allow": allow})
        if not response.prepared:
            response.headers.update(_CORS)
        return response

    def _authorized(self, request: web.BaseRequest) -> bool:
        if self._secret is None:
            return True
        # As TGI: the whole header, whatever its case.
        return request.headers.get(hdrs.AUTHORIZATION, "").lower() == self._secret

    async def _post(self, request: web.BaseRequest, handler: Post) -> web.StreamResponse:
        if not _JSON.match(request.headers.get(hdrs.CONTENT_TYPE, "")):
            return text_response(
                "Expected request with `Content-Type: application/json`", status=415
            )
        length = request.content_length
        try:
            if length is not None and length > MAX_BODY:
                raise web.HTTPRequestEntityTooLarge(MAX_BODY, length)
            if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return text_response(
                "Failed to buffer the request body: length limit exceeded", status=413
            )
        try:
            return await handler(request, body)
        except InferError as error:
            return error_response(error)
        except BodyError as error:
            return text_response(str(error), status=error.status)
