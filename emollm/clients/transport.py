"""The narrow seam to HTTP, so that another client can be put underneath.

What any transport promises (tests/emollm/clients/transport/ holds it to that):

- every call ends within its `timeout_s`, connecting included;
- cancelling the asyncio task closes the connection at once, since that is what frees the
  prompt's place on the GPU;
- a *pooled* connection that turns out closed before any byte of the answer is worth one silent
  retry on a fresh one (TGI closes after 413 and 401 without saying so); a fresh one is not;
- redirects aren't followed: the token would go along to wherever they point;
- no exception of it holds a URL, a token or a body.
"""

from typing import NamedTuple, Protocol

BODY_LIMIT = 4 * 1024 * 1024
"""Longest answer that is read, in bytes. The longest real one is a few hundred; without a bound a
broken server or a captive portal could fill the memory."""


class Response(NamedTuple):
    """A whole HTTP answer."""

    status: int
    content_type: str
    """Lower case, without parameters; empty where there was none."""
    body: bytes


class TransportError(Exception):
    """There is no whole HTTP answer."""


class NoAnswer(TransportError):  # noqa: N818 - what happened
    """Connection refused, reset, closed in mid-answer, TLS refused, not HTTP, or too long."""


class NotConnected(NoAnswer):
    """There was no connection within its time: nothing was sent."""


class ConnectionLost(NoAnswer):
    """The connection ended after the request was sent and before its answer was whole."""


class DeadlinePassed(TransportError):  # noqa: N818 - what happened
    """The call took longer than it may."""


class Transport(Protocol):
    """One server's HTTP connections."""

    @property
    def url(self) -> str:
        """Base URL, without credentials."""

    async def post(self, path: str, body: bytes, timeout_s: float) -> Response:
        """POST a JSON body to `path` below the base URL. Raises TransportError."""

    async def get(self, path: str, timeout_s: float) -> Response:
        """GET `path` below the base URL. Raises TransportError."""

    async def aclose(self) -> None:
        """Close all connections. Calls in flight fail with NoAnswer."""
