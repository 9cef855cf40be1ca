"""HTTP/1.1 to one server over connections that are kept: docs/decisions/http-transport.md."""

import asyncio
import ssl

from yarl import URL

from emollm.clients.address import ServerOptions
from emollm.clients.connection import ClosedSilently, Connection
from emollm.clients.transport import NoAnswer, NotConnected, Response

CONNECT_TIMEOUT_S = 5.0
"""A host that doesn't answer a SYN within 5 s is gone; waiting the whole deadline would hold a
prompt for a minute before another server gets it."""
KEEPALIVE_S = 30.0
"""Below the 60 to 75 s after which common proxies close an idle connection; TGI never does."""


class HttpTransport:
    """Connections to one server: as many as there are requests at once, kept for the next ones.

    Made anywhere, used within one event loop.
    """

    def __init__(self, options: ServerOptions) -> None:
        """Raises OSError (ssl.SSLError among it) for a CA file that isn't there or isn't PEM."""
        self._base = options.base
        self._shown = options.shown
        self._tls = _tls(options)
        self._authorization = options.authorization
        self._heads: dict[tuple[str, str], bytes] = {}
        self._idle: list[Connection] = []
        """Oldest first; the newest is used next, so that what a quiet hour leaves over ages."""
        self._busy: set[Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"HttpTransport({self._shown!r})"

    @property
    def url(self) -> str:
        """Base URL, without credentials."""
        return self._shown

    async def post(self, path: str, body: bytes, timeout_s: float) -> Response:
        """POST a JSON body to `path` below the base URL. Raises TransportError."""
        request = b"%bContent-Length: %d\r\n\r\n%b" % (self._head("POST", path), len(body), body)
        return await self._call(request, timeout_s)

    async def get(self, path: str, timeout_s: float) -> Response:
        """GET `path` below the base URL. Raises TransportError."""
        return await self._call(self._head("GET", path) + b"\r\n", timeout_s)

    async def aclose(self) -> None:
        """Close all connections. Calls in flight fail with NoAnswer."""
        self._closed = True
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()
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
        if connection is not None:
            try:
                return await self._ask(connection, request, timeout_s)
            except ClosedSilently:
                if loop.time() >= until or self._closed:
                    raise
        if self._closed:
            raise NoAnswer("the transport is closed")
        connection = await self._connect(loop, min(until - loop.time(), CONNECT_TIMEOUT_S))
        return await self._ask(connection, request, until - loop.time())

    async def _ask(self, connection: Connection, request: bytes, timeout_s: float) -> Response:
        self._busy.add(connection)
        try:
            return await connection.ask(request, timeout_s)
        finally:
            self._busy.discard(connection)
            if connection.usable:
                self._put_aside(connection)

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
        if self._closed:
            connection.abort()
            return
        assert self._loop is not None
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        oldest = self._idle[0]
        if connection.idle_since - oldest.idle_since >= KEEPALIVE_S:
            del self._idle[0]
            oldest.abort()

    async def _connect(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> Connection:
        host, port = self._base.host, self._base.port
        assert host is not None
        assert port is not None
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop), host, port, ssl=self._tls
                )
        except TimeoutError:
            raise NotConnected("no connection within the time for connecting") from None
        except (OSError, ValueError) as error:  # ValueError: a name that can't be looked up
            raise NotConnected(_cause(error)) from None
        if self._closed:
            connection.abort()
            raise NoAnswer("the transport is closed")
        return connection


def _tls(options: ServerOptions) -> ssl.SSLContext | None:
    """The trust to put into the server's certificate; None without TLS."""
    if URL(options.url).scheme != "https":
        return None
    context = ssl.create_default_context(cafile=options.ca_file)
    if not options.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _cause(error: Exception) -> str:
    """The class and the system's own words, nothing else."""
    words = error.strerror if isinstance(error, OSError) and error.errno else None
    name = type(error).__name__
    return f"{name}: {words}" if words else name
