"""When a server gets no prompts, and when it is asked again."""

from collections.abc import Callable, Hashable
from enum import Enum

CONSECUTIVE = 5
"""Failures in a row that are too many."""
RATIO = 0.5
"""Share of failures, over about the last `_WINDOW` requests, that is too much as well."""
_WINDOW = 32
FIRST_DELAY_S = 0.1
"""A burst of 424 for one poison prompt opens it as well: then the first probe closes it at once."""
MAX_DELAY_S = 1.0
"""A probe a second costs nothing, and a server that is back works within a second."""
CALM_S = 30.0
"""Closed for this long, the next opening begins with the first delay again."""


class BreakerState(Enum):
    """CLOSED takes prompts; OPEN doesn't; HALF_OPEN has a probe under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """One server's breaker. It decides; whoever holds it does the waiting and the probing.

    Only an answered prompt closes it, never `/health`: a TGI whose batching task died says 200
    there while every `/generate` hangs (TGI 3.3, read and measured).
    """

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` gives numbers in [0, 1): the jitter, so that consumers don't probe in step."""
        self._random = random
        self._state = BreakerState.CLOSED
        self._row = 0
        self._row_post: Hashable = None
        self._one_post = True
        self._share = 0.0
        self._openings = 0
        self._closed_at = float("-inf")

    @property
    def state(self) -> BreakerState:
        """Closed, open or half open."""
        return self._state

    @property
    def closed(self) -> bool:
        """Whether prompts may be sent."""
        return self._state is BreakerState.CLOSED

    @property
    def one_post(self) -> bool:
        """Whether the failures in a row are all of one post, which may be poison."""
        return self._one_post

    def on_answer(self) -> None:
        """Count an answered prompt."""
        self._row = 0
        self._share -= self._share / _WINDOW

    def on_failure(self, post: Hashable) -> bool:
        """Count a failed prompt of a post. True: they are too many, so open or probe it."""
        if self._state is not BreakerState.CLOSED:
            return False  # sent before it opened
        self._one_post = self._row == 0 or (self._one_post and post == self._row_post)
        self._row_post = post
        self._row += 1
        self._share += (1 - self._share) / _WINDOW
        return self._row >= CONSECUTIVE or self._share >= RATIO

    def open(self, now: float) -> None:
        """Open it, whatever was counted."""
        if self._state is BreakerState.CLOSED and now - self._closed_at > CALM_S:
            self._openings = 0
        self._state = BreakerState.OPEN
        self._openings += 1

    def delay(self) -> float:
        """Seconds to wait before the next probe: doubling, jittered down to a half, capped."""
        full = min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** min(self._openings - 1, 16))
        return full * (0.5 + self._random() / 2)

    def probe(self) -> None:
        """A probe is under way."""
        self._state = BreakerState.HALF_OPEN

    def close(self, now: float) -> None:
        """A prompt was answered."""
        self._state = BreakerState.CLOSED
        self._closed_at = now
        self._row = 0
        self._share = 0.0
