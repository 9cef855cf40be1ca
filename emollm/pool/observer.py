"""What the pool tells whoever keeps metrics."""

from typing import Protocol

from emollm.pool.breaker import BreakerState


class PoolObserver(Protocol):
    """Called on the event loop, once for each fact; must be quick and must not raise.

    `server` is the base URL without credentials.
    """

    def on_request(self, server: str, task: str, outcome: str, seconds: float) -> None:
        """One request ended after `seconds`: `answered`, or the error's class name.

        Probes aren't counted; a prompt that is asked again is.
        """

    def on_limit(self, server: str, limit: int) -> None:
        """The server's adaptive limit is now `limit` prompts."""

    def on_breaker(self, server: str, state: BreakerState) -> None:
        """The server's breaker changed."""


class NullObserver:
    """Keeps nothing."""

    def on_request(self, server: str, task: str, outcome: str, seconds: float) -> None:
        """Ignore it."""

    def on_limit(self, server: str, limit: int) -> None:
        """Ignore it."""

    def on_breaker(self, server: str, state: BreakerState) -> None:
        """Ignore it."""
