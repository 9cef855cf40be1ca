"""Fetching one address again and again: only what is new, within bounds."""

from typing import NamedTuple

import aiohttp

from producer.live import source as reasons
from producer.live.feed.address import host_of, redirected
from producer.live.feed.resolver import PrivateAddress, PublicResolver
from producer.live.http import BodyTooLarge, bounded_body, retry_after_s, said
from producer.live.source import SourceRefused
from producer.live.user_agent import USER_AGENT
from runtime.clock import Clock

MOST_BODY = 4 * 1024 * 1024
"""A large feed has one megabyte, which is parsed in a second. So many tiny entries that it takes 20
are made to be; it is a thread's time, and a stop waits for it."""
MOST_ITEMS = 20_000
"""Of one answer: a page of a listing has a thousand, and a long feed some hundreds. Millions of
nothings fit into `MOST_BODY`, and each takes microseconds of the event loop."""
_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REFUSALS = frozenset({400, 401, 403, 404, 405, 406, 410, 451})
_TIMEOUT = aiohttp.ClientTimeout(total=60.0, sock_connect=10.0, sock_read=30.0)


class Broken(Exception):  # noqa: N818 - what it is, not that it is an error
    """Nothing of use came, this time. `reason` is one of `DISCONNECTED`."""

    def __init__(self, reason: str, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.wait_s = wait_s
        """What the server asked to wait."""


def within_bounds(items: int) -> None:
    """Check how many an answer holds.

    Raises:
        Broken: more than `MOST_ITEMS`.
    """
    if items > MOST_ITEMS:
        raise Broken(reasons.OVERSIZED, f"over {MOST_ITEMS:,} items")


class Fetched(NamedTuple):
    """What came."""

    body: bytes
    content_type: str
    url: str
    """After redirects."""


def feed_session(*, private_hosts: bool = False) -> aiohttp.ClientSession:
    """Make the session that `Fetcher` uses.

    Unless `private_hosts`, no name leads to this machine or to a private network: a feed is a
    stranger's, and so is what it redirects to, or what its name is changed to.
    """
    names = aiohttp.ThreadedResolver()
    resolver = names if private_hosts else PublicResolver(names)
    return aiohttp.ClientSession(
        # Each feed has one connection; of a hundred in all, servers that hang would hold all.
        connector=aiohttp.TCPConnector(resolver=resolver, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),  # a stranger's would be kept and sent for good
    )


class Fetcher:
    """Fetches by conditional requests (RFC 9110, 13): `If-None-Match`, `If-Modified-Since`."""

    def __init__(
        self, session: aiohttp.ClientSession, clock: Clock, *, private_hosts: bool = False
    ) -> None:
        """`session` is one of `feed_session`'s; `private_hosts` as there."""
        self._session = session
        self._clock = clock
        self._private_hosts = private_hosts
        self._url = ""
        self._validators: dict[str, str] = {}
        self._next: dict[str, str] = {}

    async def fetch(self, url: str) -> Fetched | None:
        """Get what is there; None where nothing has changed since the last `taken`.

        Raises:
            Broken: no answer of use, this time.
            SourceRefused: there is nothing to be had at this address.
        """
        conditions = self._validators if url == self._url else {}
        at = url
        for _ in range(_MOST_REDIRECTS + 1):
            found = await self._get(at, conditions, asked=url)
            if not isinstance(found, str):
                return found
            target = redirected(at, found, to_private=self._private_hosts)
            if target is None:
                raise SourceRefused(
                    f"{host_of(url)} redirects to what isn't followed (no http(s), no TLS any more,"
                    " or a private address): if it is right, name that address itself, or allow"
                    " private ones with --private-hosts"
                )
            at = target
        raise Broken(reasons.REFUSED, f"more than {_MOST_REDIRECTS} redirects")

    def taken(self) -> None:
        """All of what came last was handed on: don't ask for the same again."""
        self._validators = self._next

    def forget(self) -> None:
        """Ask for everything again: what was handed on may not have arrived."""
        self._validators = {}

    async def _get(
        self, url: str, conditions: dict[str, str], *, asked: str
    ) -> Fetched | str | None:
        """Get an answer; a text is where a redirect leads."""
        headers = {"User-Agent": USER_AGENT, **conditions}
        try:
            async with self._session.get(
                url, headers=headers, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                if response.status == 304 and conditions:
                    return None
                if response.status in _REDIRECTS:
                    return response.headers.get("Location", "")
                self._check(response, asked)
                body = await bounded_body(response, MOST_BODY)
                self._url, self._next = asked, _validators(response)
                return Fetched(body, _content_type(response), url)
        except PrivateAddress:
            raise SourceRefused(
                f"{host_of(asked)} is, or redirects to, a name that leads to a private network or"
                " to this machine: if it is right, allow it with --private-hosts"
            ) from None
        except BodyTooLarge:
            raise Broken(reasons.OVERSIZED, f"over {MOST_BODY:,} bytes") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Broken(reasons.UNREACHABLE, said(error)) from None

    def _check(self, response: aiohttp.ClientResponse, asked: str) -> None:
        status = response.status
        if status == 200:
            return
        if status in _REFUSALS:
            raise SourceRefused(f"{host_of(asked)}: HTTP status {status}; is it the right address?")
        wait = retry_after_s(response.headers, self._clock.wall()) or 0.0
        reason = reasons.RATE_LIMITED if status == 429 else reasons.REFUSED
        raise Broken(reason, f"HTTP status {status}", wait_s=wait)


def _content_type(response: aiohttp.ClientResponse) -> str:
    """Give it as text that can be encoded: bytes of no encoding come as halves of characters."""
    return response.headers.get("Content-Type", "").encode(errors="replace").decode()


def _validators(response: aiohttp.ClientResponse) -> dict[str, str]:
    found = {
        "If-None-Match": response.headers.get("ETag"),
        "If-Modified-Since": response.headers.get("Last-Modified"),
    }
    return {name: value for name, value in found.items() if value and len(value) < 1_000}
