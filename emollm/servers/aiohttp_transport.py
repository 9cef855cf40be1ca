"""The transport on aiohttp, tuned: 0.10 to 0.16 ms of CPU a request (bench/pool_cpu.py)."""

import io
import ssl
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from emollm.servers.address import ServerOptions
from emollm.servers.transport import BODY_LIMIT, DeadlinePassed, NoAnswer, Response

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace

CONNECT_TIMEOUT_S = 5.0
"""A host that doesn't answer a SYN within 5 s is gone; waiting the whole deadline would hold a
prompt for a minute before another server gets it."""
KEEPALIVE_S = 30.0
"""Below the 60 to 75 s after which common proxies close an idle connection; TGI never does."""
_COPY_LIMIT = 2**20
"""aiohttp warns above 1 MiB that raw bytes hold up the event loop; a file object doesn't."""

_fresh: ContextVar[bool] = ContextVar("fresh", default=False)
"""Whether this task's current request had to open a connection."""


class _Connector(aiohttp.TCPConnector):
    """Remembers whether a request got a pooled connection or a fresh one."""

    async def _create_connection(
        self,
        req: "ClientRequest",
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> "ResponseHandler":
        _fresh.set(True)
        return await super()._create_connection(req, traces, timeout)


def _tls(options: ServerOptions) -> ssl.SSLContext | bool:
    """The trust to put into the server's certificate.

    Raises OSError (ssl.SSLError among it) for a CA file that isn't there or isn't PEM.
    """
    if not options.verify_tls:
        return False
    if options.ca_file is None:
        return True
    return ssl.create_default_context(cafile=options.ca_file)


class AiohttpTransport:
    """Connections to one server. Made anywhere, used within one event loop."""

    def __init__(self, options: ServerOptions, *, connections: int = 0) -> None:
        """`connections` bounds the sockets; 0: whoever calls bounds the requests."""
        self._base = options.base
        self._shown = options.shown
        self._tls = _tls(options)
        self._connections = connections
        self._headers = {"Content-Type": "application/json"}
        if options.authorization is not None:
            self._headers["Authorization"] = options.authorization
        self._urls: dict[str, URL] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._pooled: aiohttp.ClientSession | None = None
        self._unpooled: aiohttp.ClientSession | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"AiohttpTransport({self._shown!r})"

    @property
    def url(self) -> str:
        """Base URL, without credentials."""
        return self._shown

    async def post(self, path: str, body: bytes, timeout_s: float) -> Response:
        """POST a JSON body to `path` below the base URL. Raises TransportError."""
        return await self._call("POST", path, body, timeout_s)

    async def get(self, path: str, timeout_s: float) -> Response:
        """GET `path` below the base URL. Raises TransportError."""
        return await self._call("GET", path, None, timeout_s)

    async def aclose(self) -> None:
        """Close all connections."""
        self._closed = True
        for session in (self._pooled, self._unpooled):
            if session is not None:
                await session.close()

    def _open(self, *, pool: bool) -> aiohttp.ClientSession:
        connector: dict[str, Any] = {"ssl": self._tls, "limit": self._connections}
        connector |= {"keepalive_timeout": KEEPALIVE_S} if pool else {"force_close": True}
        return aiohttp.ClientSession(
            connector=_Connector(**connector),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )

    def _url(self, path: str) -> URL:
        url = self._urls.get(path)
        if url is None:
            prefix = self._base.raw_path.rstrip("/")
            url = self._urls[path] = self._base.with_path(prefix + path, encoded=True)
        return url

    def _timeout(self, timeout_s: float) -> aiohttp.ClientTimeout:
        timeout = self._timeouts.get(timeout_s)
        if timeout is None:
            if len(self._timeouts) > 64:
                self._timeouts.clear()
            timeout = self._timeouts[timeout_s] = aiohttp.ClientTimeout(
                total=timeout_s, sock_connect=min(timeout_s, CONNECT_TIMEOUT_S)
            )
        return timeout

    async def _call(self, method: str, path: str, body: bytes | None, timeout_s: float) -> Response:
        if self._closed:
            raise NoAnswer("the transport is closed")
        try:
            response = await self._answer(method, self._url(path), body, timeout_s)
            try:
                return Response(response.status, _kind(response), await _read(response))
            except BaseException:
                response.close()
                raise
        except aiohttp.ConnectionTimeoutError:
            raise NoAnswer("no connection within the time for connecting") from None
        except TimeoutError:
            raise DeadlinePassed(f"no answer within {timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(_cause(error)) from None
        except RuntimeError:
            if self._closed:  # aiohttp's word for a session that is closed under a request
                raise NoAnswer("the transport is closed") from None
            raise

    async def _answer(
        self, method: str, url: URL, body: bytes | None, timeout_s: float
    ) -> aiohttp.ClientResponse:
        """Send a request and read the headers of its answer; once more where that is silent."""
        session = self._pooled
        if session is None:
            session = self._pooled = self._open(pool=True)
        started = time.monotonic()
        _fresh.set(False)
        try:
            return await _send(session, method, url, body, self._timeout(timeout_s))
        except (aiohttp.ServerDisconnectedError, OSError) as error:
            left = timeout_s - (time.monotonic() - started)
            if _fresh.get() or self._closed or isinstance(error, TimeoutError) or left <= 0:
                raise
        if self._unpooled is None:
            self._unpooled = self._open(pool=False)
        within = aiohttp.ClientTimeout(total=left, sock_connect=min(left, CONNECT_TIMEOUT_S))
        return await _send(self._unpooled, method, url, body, within)


async def _send(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    body: bytes | None,
    within: aiohttp.ClientTimeout,
) -> aiohttp.ClientResponse:
    data = io.BytesIO(body) if body is not None and len(body) > _COPY_LIMIT else body
    return await session.request(method, url, data=data, timeout=within, allow_redirects=False)


def _cause(error: Exception) -> str:
    """The class and the system's own words, nothing else: aiohttp's messages hold URLs."""
    words = error.strerror if isinstance(error, OSError) and error.errno else None
    name = type(error).__name__
    return f"{name}: {words}" if words else name


def _kind(response: aiohttp.ClientResponse) -> str:
    """The content type, lower case, without parameters."""
    raw = response.headers.get("Content-Type", "")
    return raw.partition(";")[0].strip().lower()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, unless it is longer than any answer is."""
    length = response.content_length
    if length is not None:
        if length > BODY_LIMIT:
            raise NoAnswer("the answer is too long")
        return await response.read()
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise NoAnswer("the answer is too long")
    return bytes(body)
