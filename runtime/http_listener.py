"""A web application on an address, within bounds on what its clients can hold.

aiohttp accepts connections without end and waits an hour for a request on each: a client that
connects and sends nothing takes a connection, and some hundreds of them leave no file descriptor
for anybody else.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def _is_ours(record: logging.LogRecord) -> bool:
    """Not a stranger's bytes that are no request (TLS to this port, a scan): answered with 400."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_logger = logging.getLogger("aiohttp.server.listener")
_logger.addFilter(_is_ours)


class HttpListener:
    """Serves `app` from `start` to `stop`.

    For one connection more than `max_connections`, the one that has been idle for longest is
    closed; where each has a request under way, the new one is answered 503, whatever it sends. A
    connection is closed when its first request's head isn't there after `head_s` seconds, and when
    it was idle for `idle_s` seconds after a request.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        max_connections: int,
        head_s: float = 10.0,
        idle_s: float = 75.0,
        **runner_options: Any,
    ) -> None:
        """`runner_options` go to aiohttp's `AppRunner`. The app must not be running yet."""
        app.middlewares.insert(0, self._answered)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_logger,
            handle_signals=False,
            keepalive_timeout=idle_s,
            **runner_options,
        )
        self._max_connections = max_connections
        self._head_s = head_s
        self._head_due: dict[asyncio.Protocol, asyncio.TimerHandle] = {}
        self._idle: dict[web.RequestHandler, None] = {}
        """Open without a request under way, the longest so first."""
        self._busy: set[web.RequestHandler] = set()
        self._listener: asyncio.Server | None = None
        self.url = ""
        """Where it listens, once started."""

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one, an empty host all addresses.

        Raises:
            OSError: the address can't be listened on.
        """
        await self._runner.setup()
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                self._bounded(), host or None, port
            )
        except OSError:
            await self._runner.cleanup()
            raise
        host, port = self._listener.sockets[0].getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def close(self) -> None:
        """Accept no more connections; those that are open go on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def stop(self) -> None:
        """Accept no more connections, and end those that are open."""
        self.close()
        await self._runner.cleanup()

    def _bounded(self) -> Callable[[], asyncio.Protocol]:
        server = self._runner.server
        assert server is not None
        loop = asyncio.get_running_loop()
        forget = server.connection_lost

        def lost(connection: web.RequestHandler, error: BaseException | None = None) -> None:
            self._closed(connection)
            forget(connection, error)

        # The one place where aiohttp tells of a connection's end.
        server.connection_lost = lost  # type: ignore[assignment,method-assign]

        def protocol() -> asyncio.Protocol:
            # Counted before a request is read: a connection that sends nothing counts, too.
            if len(self._idle) + len(self._busy) >= self._max_connections and not self._make_room():
                return _Full()
            connection = server()
            self._idle[connection] = None
            self._head_due[connection] = loop.call_later(self._head_s, self._too_late, connection)
            return connection

        return protocol

    def _make_room(self) -> bool:
        """Close the connection that has been idle for longest; False where none is."""
        for connection in self._idle:
            # Those that came in this turn of the loop have none yet.
            if isinstance(connection.transport, asyncio.WriteTransport):
                self._closed(connection)
                # Not `close`: that waits for a client that doesn't read.
                connection.transport.abort()
                return True
        return False

    def _closed(self, connection: web.RequestHandler) -> None:
        self._idle.pop(connection, None)
        self._busy.discard(connection)
        due = self._head_due.pop(connection, None)
        if due is not None:
            due.cancel()

    def _too_late(self, connection: web.RequestHandler) -> None:
        del self._head_due[connection]
        connection.force_close()

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.protocol
        due = self._head_due.pop(connection, None)
        if due is not None:
            due.cancel()
        if connection in self._idle:  # else it is closed by now
            del self._idle[connection]
            self._busy.add(connection)
        try:
            return await handler(request)
        finally:
            if connection in self._busy:
                self._busy.remove(connection)
                self._idle[connection] = None


class _Full(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_FULL)
        transport.close()
