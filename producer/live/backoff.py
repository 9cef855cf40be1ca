"""Pauses between tries: they grow, and no two clients make the same ones."""

import random

from runtime.clock import Clock, sleep


class Backoff:
    """Full jitter (each pause is drawn from zero to its bound), the bound doubling to `most_s`.

    After the AWS architecture blog, "Exponential Backoff And Jitter".
    """

    def __init__(
        self, clock: Clock, rng: random.Random, *, first_s: float = 0.5, most_s: float = 30.0
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._first_s = first_s
        self._most_s = most_s
        self.failures = 0
        """In a row."""

    async def pause(self) -> None:
        """Wait before another try."""
        await sleep(self._clock, self.next_s())

    def next_s(self) -> float:
        """Count a failure; give the pause before another try, in seconds."""
        bound = min(self._most_s, self._first_s * 2.0 ** min(self.failures, 16))
        self.failures += 1
        return self._rng.uniform(0.0, bound)

    def over(self) -> None:
        """It works again."""
        self.failures = 0
