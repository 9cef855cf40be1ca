"""Jetstream on the wire: one websocket to one host, and what can go wrong with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol

import aiohttp

from producer.live import source as reasons
from producer.live.bluesky.message import MAX_MESSAGE_BYTES
from producer.live.http import retry_after_s, said
from producer.live.user_agent import USER_AGENT
from runtime.clock import Clock

_MAX_FRAME_BYTES = 16 * 1024 * 1024
"""What is read of a host that keeps no bound. Past it the connection can't go on."""
_CONNECT_S = 10.0
_ANSWER_S = 20.0
"""For connecting and the answer: a host may take connections and never say a word."""
_CLOSE_S = 0.5
_PING_S = 30.0
"""Jetstream's own rhythm; a dead connection is seen after one and a half."""
_COLLECTION = "app.bsky.feed.post"
_TOO_MANY = 429
_TOO_BIG = 1009
"""The websocket's close code for it (RFC 6455, 7.4.1)."""


class Broken(Exception):  # noqa: N818 - what it is, not that it is an error
    """The connection is gone, or was not made. `reason` is one of `DISCONNECTED`."""

    def __init__(self, reason: str, message: str, *, status: int = 0, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        """HTTP's, where the host answered with one instead of a websocket."""
        self.wait_s = wait_s
        """What the host asked to wait."""


class Connection(Protocol):
    """An open websocket."""

    async def receive(self) -> bytes | None:
        """Wait for a message; None for a frame that can't be one.

        Raises:
            Broken: there won't be any more.
        """


class Jetstream(Protocol):
    """Opens connections."""

    def connect(self, url: str, cursor: int | None) -> AbstractAsyncContextManager[Connection]:
        """Connect to a host; posts from `cursor` on (Unix microseconds), None for live.

        Raises (on entering):
            Broken: no connection.
        """


class AiohttpJetstream:
    """Jetstream by aiohttp: 6 µs a message."""

    def __init__(
        self, session: aiohttp.ClientSession, clock: Clock, *, answer_s: float = _ANSWER_S
    ) -> None:
        """A host that hasn't opened the websocket after `answer_s` seconds is unreachable."""
        self._session = session
        self._clock = clock
        self._answer_s = answer_s

    @asynccontextmanager
    async def connect(self, url: str, cursor: int | None) -> AsyncIterator[Connection]:
        """Connect to a host; see `Jetstream`."""
        params = {"wantedCollections": _COLLECTION, "maxMessageSizeBytes": str(MAX_MESSAGE_BYTES)}
        if cursor is not None:
            params["cursor"] = str(cursor)
        try:
            async with asyncio.timeout(self._answer_s):
                socket = await self._session.ws_connect(
                    url,
                    params=params,
                    headers={"User-Agent": USER_AGENT},
                    max_msg_size=_MAX_FRAME_BYTES,
                    heartbeat=_PING_S,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
                    decode_text=False,  # a text that is no UTF-8 is then one bad message, no more
                )
        except aiohttp.WSServerHandshakeError as error:
            raise self._refused(error) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Broken(reasons.UNREACHABLE, said(error)) from None
        try:
            yield _Socket(socket)
        finally:
            # aiohttp waits for the other's goodbye as long as messages come in before it: a host
            # that sends and doesn't read would keep us for good. Cancelled, it hangs up.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await socket.close()

    def _refused(self, error: aiohttp.WSServerHandshakeError) -> Broken:
        reason = reasons.RATE_LIMITED if error.status == _TOO_MANY else reasons.REFUSED
        wait_s = retry_after_s(error.headers or {}, self._clock.wall()) or 0.0
        return Broken(reason, f"HTTP status {error.status}", status=error.status, wait_s=wait_s)


def jetstream_session() -> aiohttp.ClientSession:
    """Make the session that `AiohttpJetstream` uses, with a bound on connecting only."""
    timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_connect=_CONNECT_S)
    return aiohttp.ClientSession(timeout=timeout, middlewares=(_no_redirects,))


async def _no_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Refuse them: `ws_connect` would follow one anywhere, and from TLS to none."""
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        raise Broken(
            reasons.REFUSED, f"HTTP status {response.status}, a redirect", status=response.status
        )
    return response


class _Socket:
    def __init__(self, socket: "aiohttp.ClientWebSocketResponse[bool]") -> None:
        self._socket = socket

    async def receive(self) -> bytes | None:
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            data: bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.BINARY:
            return None
        if self._socket.close_code == _TOO_BIG:
            raise Broken(reasons.OVERSIZED, f"a message over {_MAX_FRAME_BYTES:,} bytes")
        raise Broken(reasons.CLOSED, f"closed with {self._socket.close_code}")
