"""One HTTP/1.1 connection, one request at a time: httptools reads, this decides."""

import asyncio
from typing import cast

import httptools

from emollm.clients.transport import (
    BODY_LIMIT,
    ConnectionLost,
    DeadlinePassed,
    NoAnswer,
    Response,
)

_HEAD_LIMIT = 64 * 1024
"""Longest head of an answer that is read, in bytes, and longest trailers; a TGI's has about 300."""
_HEAD_END = b"\r\n\r\n"
"""The parser takes no other ends of lines."""
_TYPE = "application/json"
_TYPE_HEADER = b"\r\ncontent-type: application/json\r\n"
"""What TGI, vLLM and `emostream serve` send."""
_SENT_AT_ONCE = 16 * 1024
"""A request of up to so many bytes is in the sockets' buffers, whole, before it can be answered."""


class ClosedSilently(ConnectionLost):
    """The connection was closed before a byte of the answer came."""


class Connection(asyncio.Protocol):
    """A connection that `ask` asks one thing after the other.

    The event loop calls the lower-case `…_made`, `…_received` and `…_lost`, the parser the `on_…`.
    No callback of the parser raises: it would swallow the reason. There is no `on_header`: called
    for each of an answer's eleven it took as long as all the rest, and mostly one is needed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._future: asyncio.Future[Response] | None = None
        self._timeout_s = 0.0
        self.due = float("inf")
        """When what is being asked must be answered, on the loop's clock."""
        self.idle_since = 0.0
        """When it was last put aside, on the loop's clock."""
        self.retire_at = float("inf")
        """From when on it isn't used again, on the loop's clock."""
        self._rest = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._wrong = ""
        """Why nothing more is believed; empty: all is well."""
        self._got = 0
        """Bytes that came since the question."""
        self._status = 0
        self._in_body = False
        self._no_body = False
        """Whether what came last held nothing of the body."""
        self._trailing = 0
        """Bytes that came after the body began and held nothing of it: trailers, or nonsense."""
        self._keep = False
        self._head: bytes = b""
        """What came until the body began, and the first of the body that came with it."""
        self._measured = False
        """Whether the length that the head tells was looked at."""
        self._body: bytes = b""
        if self._rest:
            self._rest = bytearray()

    @property
    def usable(self) -> bool:
        """Whether it can be asked something."""
        return (
            self._transport is not None
            and self._future is None
            and not self._wrong
            and not self._transport.is_closing()
        )

    async def ask(self, request: bytes, timeout_s: float) -> Response:
        """Send a whole request and return its answer. Raises TransportError.

        Whoever asks calls `late` once `due` has come: one timer serves many connections.

        However this ends without an answer, by an error or by being cancelled, the connection is
        closed at once.
        """
        assert self.usable
        assert self._transport is not None
        self._begin()
        self._timeout_s = timeout_s
        self.due = self._loop.time() + timeout_s
        future: asyncio.Future[Response] = self._loop.create_future()
        self._future = future
        self._transport.write(request)
        try:
            response = await future
        except BaseException:
            self.abort()
            raise
        finally:
            self._future = None
        if self._wrong or not self._keep or self._still_sending(response.status, request):
            self.abort()
        return response

    def abort(self) -> None:
        """Close without a word; what is being asked fails with NoAnswer."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Feed the parser; it calls the `on_…` below."""
        if self._future is None:  # a proxy's 408 before it closes: nobody asked for it
            self._wrong = "an answer to no question"
            self.abort()
            return
        self._got += len(data)
        if not self._in_body:
            self._head = self._head + data if self._head else data
        self._no_body = self._in_body
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._wrong = self._wrong or "what came is not HTTP"
        if self._wrong or not self._future.done():
            self._judge(len(data))

    def _judge(self, came: int) -> None:
        """Whether what has come can still become an answer, when the whole of it isn't there."""
        if not self._in_body:
            if self._got > _HEAD_LIMIT:
                self._wrong = self._wrong or "the answer's head is too long"
        elif not self._measured:
            self._measured = True
            length = self._header(b"content-length")  # digits: the parser has seen to that
            if length is not None and (len(length) > 15 or int(length) > BODY_LIMIT):
                self._wrong = self._wrong or "the answer is too long"
        if self._no_body:
            self._trailing += came
            if self._trailing > _HEAD_LIMIT:
                self._wrong = self._wrong or "the answer's trailers are too long"
        if self._wrong:
            self._fail(NoAnswer(self._wrong))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is being asked, unless closing was the answer's end."""
        self._transport = None
        if self._future is None or self._future.done():
            return
        if self._in_body and exc is None and not self._has_length():
            self._answer()
        elif self._got:
            self._fail(ConnectionLost("the connection was closed in mid-answer"))
        else:
            self._fail(ClosedSilently("the connection was closed without an answer"))

    def on_message_begin(self) -> None:
        """A second answer to one question is no answer to the next."""
        if self._future is None or self._future.done():
            self._wrong = "an answer to no question"

    def on_headers_complete(self) -> None:
        """From here on, closing may be the end of the body."""
        self._status = self._parser.get_status_code()
        self._in_body = self._status >= 200

    def on_body(self, body: bytes) -> None:
        """Nearly always the whole of it, in one piece."""
        self._no_body = False
        if not self._body:
            self._body = body
        elif len(self._body) + len(self._rest) + len(body) > BODY_LIMIT:
            self._wrong = "the answer is too long"
        else:
            self._rest += body

    def on_message_complete(self) -> None:
        """Answer; a 1xx only announces the answer."""
        if self._status < 200:
            self._head = self._head.lstrip(b"\r\n").partition(_HEAD_END)[2]
        elif not self._wrong:
            self._keep = self._parser.should_keep_alive()  # only here does the parser know
            self._answer()

    def _answer(self) -> None:
        if self._future is not None and not self._future.done():
            body = self._body + self._rest if self._rest else self._body
            self._future.set_result(Response(self._status, self._kind(), body))

    def _kind(self) -> str:
        """The content type, lower case, without parameters; empty where there is none."""
        head = self._head
        if 0 < head.find(_TYPE_HEADER) < head.find(_HEAD_END):
            return _TYPE
        raw = self._header(b"content-type") or b""
        return raw.partition(b";")[0].strip().lower().decode("latin-1")

    def _has_length(self) -> bool:
        """Whether the head tells where the body ends."""
        names = (b"content-length", b"transfer-encoding")
        return any(self._header(name) is not None for name in names)

    def _header(self, name: bytes) -> bytes | None:
        """A header's value, by its name in lower case; None where it isn't there."""
        lines = self._head.lstrip(b"\r\n").partition(_HEAD_END)[0].split(b"\r\n")
        for line in lines[1:]:
            found, _, value = line.partition(b":")
            if found.lower() == name:
                return value.strip()
        return None

    def _fail(self, error: Exception) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)

    def late(self) -> None:
        """Fail what is being asked: its time is over."""
        self._fail(DeadlinePassed(f"no answer within {self._timeout_s:.3g} s"))

    def _still_sending(self, status: int, request: bytes) -> bool:
        """Whether the answer (413) came before the whole request was sent, as far as can be known.

        The rest would be read as the next request, or never. A TLS transport doesn't tell what it
        still has to send: there, any refusal of a long request is taken for one.
        """
        if self._transport is None or self._transport.get_write_buffer_size() > 0:
            return True
        return status >= 300 and len(request) > _SENT_AT_ONCE
