"""Bounds on connections: how many there are, and how long a client may take over a request's head.

Without them a client that sends nothing, or one byte a minute, holds a connection and its memory
without end, and a few hundred of them leave no file descriptor for the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import structlog
from aiohttp import ClientConnectionResetError, web
from aiohttp.http_exceptions import HttpProcessingError

from infra.tgi.events import ServerEvent

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n"
    b"Retry-After: 1\r\n\r\n"
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections may be open; seconds for a request's head, and without a request."""

    connections: int
    head_seconds: float
    idle_seconds: float


class BoundedServer(web.Server):
    """aiohttp's low-level server within limits; `options` are those of its connections."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        limits: ConnectionLimits,
        *,
        request_factory: Any,
        **options: Any,
    ) -> None:
        super().__init__(
            self._handle,
            request_factory=request_factory,
            handler_cancellation=True,  # a client that leaves frees its permit
        )
        self._handler = handler
        self._limits = limits
        self._options = options
        self._count = 0
        self._full = False

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of one connection."""
        return _Connection(self, self._limits, **self._options)

    def admit(self) -> bool:
        """Count a new connection; False when there are too many."""
        self._count += 1
        if self._count <= self._limits.connections:
            return True
        if not self._full:
            self._full = True
            _log.warning(ServerEvent.CONNECTIONS_FULL, max_connections=self._limits.connections)
        return False

    def release(self) -> None:
        """A connection is gone."""
        self._count -= 1
        self._full = self._full and self._count >= self._limits.connections

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)
        connection.head_received()
        try:
            return await self._handler(request)
        finally:
            connection.request_done()


class _Connection(web.RequestHandler):
    """One connection: aiohttp's, with a deadline for each request's head.

    The first head is due from the moment the connection is made, later ones from their first
    byte. Between requests the connection may be idle for `idle_seconds`.
    """

    def __init__(self, server: BoundedServer, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle_seconds,
            **options,
        )
        self._server: BoundedServer | None = server
        self._head_seconds = limits.head_seconds
        self._head_due: asyncio.TimerHandle | None = None
        self._in_request = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the first deadline, or refuse the connection."""
        super().connection_made(transport)
        assert self._server is not None
        if self._server.admit():
            self._expect_head()
        else:
            # Not asserted: uvloop's transports have the methods, but not the class.
            cast("asyncio.WriteTransport", transport).write(_FULL)
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Start a deadline with the first byte of a head."""
        if data and not self._in_request:
            self._expect_head()
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free its place."""
        self._cancel()
        if self._server is not None:
            self._server.release()
            self._server = None
        super().connection_lost(exc)

    def head_received(self) -> None:
        """A request's head is complete."""
        self._in_request = True
        self._cancel()

    def request_done(self) -> None:
        """Its response is made."""
        self._in_request = False

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log only what is a bug of ours: no bytes of a client, which may be a post's text.

        A client that left before its stream began is none, either.
        """
        del args
        error = options.get("exc_info")
        if not isinstance(error, HttpProcessingError | ClientConnectionResetError):
            _log.error(ServerEvent.REQUEST_FAILED, exc_info=error)

    def _expect_head(self) -> None:
        if self._head_due is None:
            loop = asyncio.get_running_loop()
            self._head_due = loop.call_later(self._head_seconds, self.force_close)

    def _cancel(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None
