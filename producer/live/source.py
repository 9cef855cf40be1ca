"""The seam between a network's protocol and publishing.

ProducerError
├── SourceRefused      the source won't have us: a token, an option, an address; a human changes it
└── SourceFailed       the source can't be reached, or isn't what it should be
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from producer.errors import ProducerError
from producer.live.items import Item
from runtime.errors import EXIT_BROKEN, EXIT_HALTED


class SourceFailed(ProducerError):  # noqa: N818 - what it is, not that it is an error
    """The source can't be reached; the message says what was tried."""

    exit_code = EXIT_BROKEN


class SourceRefused(ProducerError):  # noqa: N818
    """The source refuses us, now and later; the message says what to change."""

    exit_code = EXIT_HALTED


class Source(Protocol):
    """One stream of a network."""

    @property
    def name(self) -> str:
        """Its identity: in the records' headers, where a start finds how far it got; a label."""

    def items(self, since: int) -> AsyncGenerator[Item, None]:
        """Yield what is wanted from `since` (Unix microseconds) on, without an end.

        Connections that break, stall or are refused for now are its own affair: it tries again,
        with growing pauses, and goes back far enough to leave nothing out. What it can't give any
        more of the time since `since` is a gap, which it tells its watcher.

        Raises (while iterating):
            SourceFailed: it never worked since the start, after several tries.
            SourceRefused: trying again is of no use.
        """


class SourceWatcher(Protocol):
    """Told by a source how it goes."""

    def connected(self, source: str, to: str) -> None:
        """A connection is open; `to` is a host, without credentials."""

    def disconnected(self, source: str, reason: str) -> None:
        """It is gone, or could not be made; `reason` is a metric's label, one of few."""

    def waits(self, source: str, seconds: float, reason: str) -> None:
        """It is not asked again for so long; `reason` is one of `disconnected`'s."""

    def gap(self, source: str, seconds: float, why: str) -> None:
        """The source can't give what lies in this stretch of time: those posts are lost."""


CLOSED = "closed"
SILENT = "silent"
REFUSED = "refused"
UNREACHABLE = "unreachable"
OVERSIZED = "too_large"
RATE_LIMITED = "rate_limited"

DISCONNECTED: dict[str, str] = {
    CLOSED: "the other side ended it",
    SILENT: "nothing wanted came for too long",
    REFUSED: "an HTTP status instead of data",
    UNREACHABLE: "no connection, no name, no TLS",
    OVERSIZED: "a message or a body over the bound",
    RATE_LIMITED: "the server asked to wait",
}
"""Every reason of `disconnected`."""
