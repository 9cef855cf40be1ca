"""HTTP/1.1 to one server over connections that are kept: docs/decisions/http-transport.md."""

import asyncio
import random
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from yarl import URL

from emollm.clients.address import ServerOptions
from emollm.clients.connection import ClosedSilently, Connection
from emollm.clients.lookup import GetAddresses, Lookup
from emollm.clients.transport import NoAnswer, NotConnected, Response

CONNECT_TIMEOUT_S = 5.0
"""A host that doesn't answer a SYN within 5 s is gone; waiting the whole deadline would hold a
prompt for a minute before another server gets it."""
KEEPALIVE_S = 30.0
"""Below the 60 to 75 s after which common proxies close an idle connection; TGI never does."""
LIFE_S = 180.0
"""A connection in use is replaced after so long, give or take a quarter: behind one name there may
be new pods, and connections that last leave them idle. One in three seconds for 64 of them."""


class HttpTransport:
    """Connections to one server: as many as there are requests at once, kept for the next ones.

    Made anywhere, used within one event loop.
    """

    def __init__(
        self,
        options: ServerOptions,
        *,
        get_addresses: GetAddresses | None = None,
        rand: Callable[[], float] = random.random,
    ) -> None:
        """Raises OSError (ssl.SSLError among it) for a CA file that isn't there or isn't PEM.

        `get_addresses` looks a name up, by default with the system's resolver.
        """
        self._base = options.base
        self._rand = rand
        host, port = self._base.host, self._base.port
        assert host is not None
        assert port is not None
        self._host = host
        self._lookup = Lookup(host, port, get_addresses)
        self._shown = options.shown
        self._tls = _tls(options)
        self._authorization = options.authorization
        self._heads: dict[tuple[str, str], bytes] = {}
        self._idle: list[Connection] = []
        """Oldest first; the newest is used next, so that what a quiet hour leaves over ages."""
        self._busy: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        """One for all that is busy. A timer for each request cost a twentieth of its CPU."""
        self._timer_at = float("inf")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"HttpTransport({self._shown!r})"

    @property
    def url(self) -> str:
        """Base URL, without credentials."""
        return self._shown

    def post(self, path: str, body: bytes, timeout_s: float) -> Coroutine[Any, Any, Response]:
        """POST a JSON body to `path` below the base URL. Raises TransportError."""
        request = b"%bContent-Length: %d\r\n\r\n%b" % (self._head("POST", path), len(body), body)
        return self._call(request, timeout_s)

    def get(self, path: str, timeout_s: float) -> Coroutine[Any, Any, Response]:
        """GET `path` below the base URL. Raises TransportError."""
        return self._call(self._head("GET", path) + b"\r\n", timeout_s)

    async def aclose(self) -> None:
        """Close all connections. Calls in flight fail with NoAnswer."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()
        await self._lookup.aclose()
        await asyncio.sleep(0)  # for the event loop to close the sockets

    def _head(self, method: str, path: str) -> bytes:
        head = self._heads.get((method, path))
        if head is None:
            target = self._base.raw_path.rstrip("/") + path
            lines = [f"{method} {target} HTTP/1.1", f"Host: {self._base.host_port_subcomponent}"]
            lines.append("Accept: application/json")
            if method == "POST":
                lines.append("Content-Type: application/json")
            if self._authorization is not None:
                lines.append(f"Authorization: {self._authorization}")
            head = "".join(f"{line}\r\n" for line in lines).encode("ascii")
            self._heads[method, path] = head
        return head

    async def _call(self, request: bytes, timeout_s: float) -> Response:
        loop = self._loop
        if loop is None:  # asked for once: each asking is a system call
            loop = self._loop = asyncio.get_running_loop()
        now = loop.time()
        until = now + timeout_s
        connection = self._take(now)
        if connection is None:
            if self._closed:
                raise NoAnswer("the transport is closed")
            connection = await self._connect(loop, min(timeout_s, CONNECT_TIMEOUT_S))
            return await self._ask(connection, request, until - loop.time())
        try:
            return await self._ask(connection, request, timeout_s)
        except ClosedSilently as closed:
            if loop.time() >= until or self._closed:
                raise
            try:
                fresh = await self._connect(loop, min(until - loop.time(), CONNECT_TIMEOUT_S))
            except NotConnected:
                # Not "nothing was sent": the server may have died of what it was sent.
                raise closed from None
        return await self._ask(fresh, request, until - loop.time())

    async def _ask(self, connection: Connection, request: bytes, timeout_s: float) -> Response:
        assert self._loop is not None
        self._busy.add(connection)
        due = self._loop.time() + timeout_s
        if due < self._timer_at:
            self._wake_at(due)
        try:
            return await connection.ask(request, timeout_s)
        finally:
            self._busy.discard(connection)
            if connection.usable:
                self._put_aside(connection)

    def _wake_at(self, due: float) -> None:
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._loop.call_at(due, self._look_for_late)

    def _look_for_late(self) -> None:
        """Fail the requests whose time is over, and come back for the next one's."""
        assert self._loop is not None
        self._timer, self._timer_at = None, float("inf")
        now, following = self._loop.time(), float("inf")
        for connection in self._busy:
            if connection.due <= now:
                connection.late()
            else:
                following = min(following, connection.due)
        if following < float("inf"):
            self._wake_at(following)

    def _take(self, now: float) -> Connection | None:
        """The connection used last, if there is one that the other end may still hold open."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                if now - connection.idle_since < KEEPALIVE_S:
                    return connection
                connection.abort()  # and the others, in turn: they are older
        return None

    def _put_aside(self, connection: Connection) -> None:
        assert self._loop is not None
        now = self._loop.time()
        if self._closed or now >= connection.retire_at:
            connection.abort()
            return
        connection.idle_since = now
        self._idle.append(connection)
        oldest = self._idle[0]
        if connection.idle_since - oldest.idle_since >= KEEPALIVE_S:
            del self._idle[0]
            oldest.abort()

    async def _connect(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> Connection:
        name = self._host if self._tls is not None else None
        try:
            async with asyncio.timeout(timeout_s):
                sock = await self._lookup.connect(loop)
                try:
                    _, connection = await loop.create_connection(
                        lambda: Connection(loop), sock=sock, ssl=self._tls, server_hostname=name
                    )
                except BaseException:
                    sock.close()
                    raise
        except TimeoutError:
            raise NotConnected("no connection within the time for connecting") from None
        except (OSError, ValueError) as error:  # ValueError: a name that can't be looked up
            raise NotConnected(_cause(error)) from None
        if self._closed:
            connection.abort()
            raise NoAnswer("the transport is closed")
        if not connection.usable:
            connection.abort()
            raise NotConnected("the connection was closed as soon as it was made")
        connection.retire_at = loop.time() + LIFE_S * (0.75 + self._rand() / 2)
        return connection


def _tls(options: ServerOptions) -> ssl.SSLContext | None:
    """The trust to put into the server's certificate; None without TLS."""
    if URL(options.url).scheme != "https":
        return None
    return ssl.create_default_context(cafile=options.ca_file)


def _cause(error: Exception) -> str:
    """The class and the system's own words, nothing else."""
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "it speaks no TLS: is it http:// instead of https://?"
    words = error.strerror if isinstance(error, OSError) and error.errno else None
    name = type(error).__name__
    return f"{name}: {words}" if words else name
