"""Posts per second, evenly."""

import asyncio

from runtime.clock import Clock, sleep

_SLICE_S = 0.25
"""Longest single sleep: a stop is noticed this soon even at one post an hour."""

_CATCH_UP_S = 1.0
"""A stall longer than this is forgotten instead of made up for by a burst."""


class Pacer:
    """Lets `rate` posts a second through, evenly; all of them at once where `rate` is None.

    The n-th post is due n/rate seconds after the first, so that the rate holds over a run, however
    coarse a sleep is. After a stall at most a second's worth is caught up.
    """

    def __init__(self, rate: float | None, clock: Clock) -> None:
        if rate is not None and not rate > 0:
            raise ValueError(f"rate must be above 0 posts/s, not {rate}; leave it out for no limit")
        self._interval = 0.0 if rate is None else 1 / rate
        self._clock = clock
        self._due: float | None = None

    async def wait(self, stop: asyncio.Event) -> None:
        """Return when the next post is due, or soon after `stop` is set."""
        if not self._interval:
            return
        now = self._clock.monotonic()
        due = now if self._due is None else max(self._due, now - _CATCH_UP_S)
        self._due = due + self._interval
        while (left := due - self._clock.monotonic()) > 0 and not stop.is_set():
            await sleep(self._clock, min(left, _SLICE_S))
