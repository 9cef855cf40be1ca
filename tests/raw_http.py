"""A server on a real socket that answers byte for byte what a test wants, well-behaved or not.

For what a client's transport and readers meet below HTTP: cut answers, wrong lengths, connections
that close. A model server that keeps HTTP is `tests.tgi`.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.served = 0
        self.closed = asyncio.Event()
        """Set once the client has closed it."""

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        """Close at once; what isn't sent yet is dropped."""
        self._writer.transport.abort()

    async def until_closed(self) -> None:
        """Wait for the client to go; it sends nothing more."""
        while await self._reader.read(1024):
            pass
        self.closed.set()


Behaviour = Callable[[Request, Connection], Awaitable[None]]


def http(status: int, body: bytes = b"", kind: str | None = "application/json") -> bytes:
    """A whole answer."""
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n"
    if kind is not None:
        head += f"content-type: {kind}\r\n"
    return head.encode() + b"\r\n" + body


def answering(status: int, body: bytes = b"", kind: str | None = "application/json") -> Behaviour:
    """Answer every request alike."""

    async def behave(_: Request, connection: Connection) -> None:
        await connection.write(http(status, body, kind))

    return behave


async def hanging(_: Request, connection: Connection) -> None:
    """Never answer; wait until the client has gone."""
    await connection.until_closed()


class RawServer:
    """`async with RawServer(behaviour) as server`: then `server.url`."""

    def __init__(
        self, behave: Behaviour, *, tls: ssl.SSLContext | None = None, keep: int = 1_000
    ) -> None:
        """`keep` is how many requests it remembers, the newest."""
        self.tls = tls
        self.behave = behave
        self.requests: deque[Request] = deque(maxlen=keep)
        self.arrived = asyncio.Event()
        """Set by each request."""
        self.connections: list[Connection] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self.connections:
            connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        self.connections.append(connection)
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.strip().split("\r\n")
                method, path, _ = first.split(" ")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(method, path, headers, body)
                self.requests.append(request)
                self.arrived.set()
                await self.behave(request, connection)
                connection.served += 1
        except (asyncio.IncompleteReadError, OSError):
            connection.closed.set()
        finally:
            writer.close()
