"""The connection to the collector of traces."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter


class Collector(requests.Session):
    """The connection to the collector. Remembers what came of the last request, for the log.

    `timeout` is for the whole answer: requests' own begins again with each byte, and what drips
    would hold the thread that exports for good, without a word.
    """

    def __init__(self) -> None:
        super().__init__()
        self.came: str = "nothing was sent"
        """`HTTP 503`, or the class of what went wrong; nothing that the collector wrote."""
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._late = threading.Event()
        """Of the latest request: set once its time is up."""
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(self._connected))

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request. A redirect is an error: the headers would go along to anywhere."""
        late = self._late = threading.Event()
        timer = threading.Timer(kwargs["timeout"], self._end, (late,))
        timer.daemon = True
        timer.start()
        try:
            response = super().request(*args, **kwargs)
            if late.is_set():  # cut off, which may look like the end of an answer
                raise requests.ReadTimeout
        except requests.RequestException as error:
            self.came = "ReadTimeout" if late.is_set() else type(error).__name__
            raise
        finally:
            timer.cancel()
        self.came = f"HTTP {response.status_code}"
        if 300 <= response.status_code < 400:
            raise requests.TooManyRedirects(self.came)
        return response

    def _end(self, late: threading.Event) -> None:
        """End the request under way: the only one, whichever of the connections it is on."""
        late.set()
        for one in list(self._sockets):
            _cut(one)

    def _connected(self, one: socket.socket) -> None:
        """Note a connection's socket; connecting may have taken all of its request's time."""
        self._sockets.add(one)
        if self._late.is_set():
            _cut(one)


def _cut(one: socket.socket) -> None:
    with suppress(OSError):  # it is closed
        one.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Tells of its connections' sockets."""

    def __init__(self, connected: Callable[[socket.socket], None]) -> None:
        self._connected = connected
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Give the pool of connections for a request, a proxy's included."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if "ConnectionCls" not in vars(pool):
            connected = self._connected

            class Connection(pool.ConnectionCls):  # type: ignore[misc]
                def connect(self) -> None:
                    super().connect()
                    connected(self.sock)

            pool.ConnectionCls = Connection
        return pool
