"""What is between one consumer and the broker: a TCP proxy that delays, cuts and swallows.

Kafka tells its clients where to connect, so each proxy has a listener of its own on the broker,
which advertises the proxy's address.
"""

import asyncio
import struct

_CHUNK = 65_536
_PRODUCE = 0
"""Kafka's number of the request that writes records."""


class Proxy:
    """One proxy; as long as nothing is set it hands everything on."""

    def __init__(self, port: int, to_port: int) -> None:
        self.port = port
        self._to_port = to_port
        self.delay_up_s = 0.0
        """Before each request of the consumer."""
        self.delay_down_s = 0.0
        """Before each piece from the broker."""
        self.delay_produce_s = 0.0
        """Before each request that writes records; everything else goes its way."""
        self.refusing = False
        self._up_open = asyncio.Event()
        self._down_open = asyncio.Event()
        self._up_open.set()
        self._down_open.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def hold(self, *, up: bool, down: bool) -> None:
        """Let nothing through any more, in these directions; connections stay open."""
        if up:
            self._up_open.clear()
        if down:
            self._down_open.clear()

    def heal(self) -> None:
        """Hand everything on again."""
        self.delay_up_s = self.delay_down_s = self.delay_produce_s = 0.0
        self.refusing = False
        self._up_open.set()
        self._down_open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        self._writers.add(writer)
        broker: asyncio.StreamWriter | None = None
        try:
            from_broker, broker = await asyncio.open_connection("127.0.0.1", self._to_port)
            self._writers.add(broker)
            await asyncio.gather(self._up(reader, broker), self._down(from_broker, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for one in (writer, broker):
                if one is not None:
                    self._writers.discard(one)
                    one.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on request by request: a length, then the request, which begins with its kind."""
        while True:
            head = await reader.readexactly(6)
            length, kind = struct.unpack(">ih", head)
            request = head + await reader.readexactly(length - 2)
            await self._up_open.wait()
            delay = self.delay_up_s + (self.delay_produce_s if kind == _PRODUCE else 0.0)
            if delay:
                await asyncio.sleep(delay)
            writer.write(request)
            await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_CHUNK):
            await self._down_open.wait()
            if self.delay_down_s:
                await asyncio.sleep(self.delay_down_s)
            writer.write(piece)
            await writer.drain()
        raise ConnectionResetError
