"""One Mastodon server over HTTP: its limits kept, its token shown to nobody else."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec

from producer.live import source as reasons
from producer.live.http import BodyTooLarge, bounded_body, retry_after_s, said
from producer.live.mastodon.events import Event, EventReader, EventTooLarge
from producer.live.mastodon.timeline import Timeline
from producer.live.source import SourceRefused
from producer.live.user_agent import USER_AGENT
from runtime.clock import Clock, sleep
from schemas.foreign import DottedPath

_MOST_BODY = 8 * 1024 * 1024
"""Forty statuses of the largest kind."""
_SILENCE_S = 45.0
"""The server says `:thump` each 15 s."""
_REQUEST_S = 30.0
"""For an answer; of a stream, for its beginning: a server may send it a byte at a time."""
_RESET_S = 300.0
"""Mastodon counts requests by five minutes."""
_PREVIOUS = re.compile(r'<([^<>]*)>;\s*rel="?prev"?')
_MIN_ID = re.compile(r"[?&]min_id=([0-9]{1,20})(?:&|$)")

_STREAMING = DottedPath("configuration.urls.streaming").find
_ACCESS = DottedPath("configuration.timelines_access").find
"""Since Mastodon 4.5."""


class Broken(Exception):  # noqa: N818 - what it is, not that it is an error
    """No answer that is of use, this time. `reason` is one of `DISCONNECTED`."""

    def __init__(self, reason: str, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.wait_s = wait_s
        """What the server asked to wait."""


class Page(NamedTuple):
    """Some statuses of a timeline, as they came: newest first."""

    statuses: list[Any]
    next_min_id: int | None
    """Where newer ones begin; None where the server names no place."""


class Instance:
    """Asks one server."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        session: aiohttp.ClientSession,
        clock: Clock,
        answer_s: float = _REQUEST_S,
    ) -> None:
        """A server that takes more than `answer_s` seconds for an answer gives none."""
        self._answer_s = answer_s
        self._url = url.rstrip("/")
        self.host = urlsplit(url).netloc
        self._session = session
        self._clock = clock
        self._headers = {"User-Agent": USER_AGENT}
        self._token = token
        self._free_at = 0.0
        """Monotonic time before which the server's limit forbids another request."""

    def __repr__(self) -> str:
        """Without the token."""
        return f"Instance({self.host})"

    @property
    def wait_s(self) -> float:
        """Seconds that the server's limit asks to wait before the next request; 0 for none."""
        return max(0.0, self._free_at - self._clock.monotonic())

    async def streaming_url(self, timeline: Timeline) -> str:
        """Ask where the streaming API is, and whether this timeline is open at all.

        Raises:
            Broken: no answer of use.
            SourceRefused: it must not be read.
        """
        body, _ = await self._get("/api/v2/instance", {})
        access = _ACCESS(body)
        sides = [_at(access, timeline.feeds, side) for side in timeline.sides]
        if all(side == "disabled" for side in sides):  # its pages would be empty, and no error
            raise SourceRefused(f"{self.host} has switched this timeline off: {timeline.label}")
        named = _STREAMING(body)
        url = str(named or self._url).replace("wss://", "https://").replace("ws://", "http://")
        if url.startswith("http://") and self._url.startswith("https://"):
            raise SourceRefused(f"{self.host} names a streaming API without TLS: no token for it")
        if not url.startswith(("http://", "https://")):
            raise Broken(reasons.REFUSED, "it names no streaming API")
        return url.rstrip("/")

    async def page(self, path: str, params: Mapping[str, str], min_id: int) -> Page:
        """Get the statuses that follow an id, forty at most.

        Raises:
            Broken: no answer of use.
            SourceRefused: it must not be read.
        """
        asked = {**params, "min_id": str(min_id), "limit": "40"}
        body, link = await self._get(f"/api/v1/timelines/{path}", asked)
        if not isinstance(body, list):
            raise Broken(reasons.REFUSED, "no list of statuses")
        # Only the number is taken from the link: the token goes where we send it.
        found = _PREVIOUS.search(link)
        number = _MIN_ID.search(found[1]) if found else None
        return Page(body, int(number[1]) if number else None)

    async def stream(
        self, base: str, path: str, params: Mapping[str, str]
    ) -> AsyncGenerator[Event | None, None]:
        """Open a stream: None once it is open, then its events.

        Raises (while iterating):
            Broken: it ended, or was silent.
            SourceRefused: it must not be read.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=_SILENCE_S)
        reader = EventReader()
        try:
            opening = self._session.get(
                f"{base}/api/v1/streaming/{path}",
                params=params,
                headers={**self._authorized(), "Accept": "text/event-stream"},
                timeout=timeout,
                allow_redirects=False,
            )
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._answer_s):
                    response = await stack.enter_async_context(opening)
                self._check(response, streaming=True)
                yield None
                async for chunk in response.content.iter_any():
                    for event in reader.feed(chunk):
                        yield event
        except EventTooLarge:
            raise Broken(reasons.OVERSIZED, "an event over 1 MiB") from None
        except aiohttp.SocketTimeoutError:
            raise Broken(reasons.SILENT, f"nothing for {_SILENCE_S:g} s") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Broken(_reason(error), said(error)) from None
        raise Broken(reasons.CLOSED, "it ended")

    async def _get(self, path: str, params: Mapping[str, str]) -> tuple[Any, str]:
        """Get JSON, and the Link header; waits where the server's limit asks for it."""
        if self.wait_s:
            await sleep(self._clock, self.wait_s)
        try:
            async with self._session.get(
                f"{self._url}{path}",
                params=params,
                headers=self._authorized(),
                timeout=aiohttp.ClientTimeout(total=self._answer_s),
                allow_redirects=False,
            ) as response:
                self._note_limit(response)
                self._check(response, streaming=False)
                body = await bounded_body(response, _MOST_BODY)
                link = response.headers.get("Link", "")
        except BodyTooLarge:
            raise Broken(reasons.OVERSIZED, "an answer over 8 MiB") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Broken(_reason(error), said(error)) from None
        try:
            return msgspec.json.decode(body), link
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise Broken(reasons.REFUSED, "an answer that is no JSON") from None

    def _authorized(self) -> dict[str, str]:
        if not self._token:
            return self._headers
        return {**self._headers, "Authorization": f"Bearer {self._token}"}

    def _note_limit(self, response: aiohttp.ClientResponse) -> None:
        """Wait before the next request where this was the last that is allowed for now."""
        left = response.headers.get("X-RateLimit-Remaining", "")
        if left.isascii() and left.isdigit() and int(left[:9]) < 1:
            wait = retry_after_s(response.headers, self._clock.wall())
            self._free_at = self._clock.monotonic() + (_RESET_S if wait is None else wait)

    def _check(self, response: aiohttp.ClientResponse, *, streaming: bool) -> None:
        status = response.status
        if status == 200:
            return
        what = "streaming" if streaming else "its timelines"
        if status in (401, 403):
            raise SourceRefused(
                f"{self.host} refuses {what} (HTTP status {status}): it needs a user's access"
                " token with the scope read:statuses (--token-file, or EMOSTREAM_MASTODON_TOKEN)"
            )
        if status in (404, 410, 422) or 300 <= status < 400:
            raise SourceRefused(
                f"{self.host} has no such timeline (HTTP status {status}): is it a Mastodon"
                " server, and are these timelines open there?"
            )
        wait = retry_after_s(response.headers, self._clock.wall()) or 0.0
        if status == 429:
            wait = wait or _RESET_S
            self._free_at = self._clock.monotonic() + wait
            raise Broken(reasons.RATE_LIMITED, "asked to wait", wait_s=wait)
        raise Broken(reasons.REFUSED, f"HTTP status {status}", wait_s=wait)


def _at(access: Any, feeds: str, side: str) -> Any:
    return DottedPath(f"{feeds}.{side}").find(access)


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return reasons.CLOSED
    return reasons.UNREACHABLE
