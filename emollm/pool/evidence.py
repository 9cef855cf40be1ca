"""What a prompt's requests alone prove: whether it is the prompt, or the server, or luck."""

import math

from emollm.errors import ModelError, TimedOut
from emollm.pool.failure_rate import failures_to_exclude_luck

FAILURES_ALONE = 5
FAILURES_ALONE_SLOW = 3
"""Where each timed out: that costs a whole deadline each time."""
VERDICT_ODDS = 1e-6
"""No verdict while luck would explain the failures in more than one case of a million. On a server
that fails 30 % of all requests that takes 12 of them, on a sound one three."""
VERDICT_S = 10.0
"""No verdict before the failures span so many seconds: a restart, a burst of load is over then."""
DEATHS = 2
"""Servers that stopped answering while they were asked this one prompt, alone."""
_FIRST_DELAY_S = 1.0
_MAX_DELAY_S = 8.0


class Evidence:
    """What one prompt's requests alone have shown so far. Knows no clock."""

    __slots__ = ("_chain", "_deaths", "_failures", "_first_at", "_last_at", "_share", "_timeouts")

    def __init__(self) -> None:
        self._failures = 0
        self._timeouts = 0
        self._deaths = 0
        self._chain = 0
        self._first_at = math.inf
        self._last_at = -math.inf
        self._share = 0.0

    @property
    def failures(self) -> int:
        """Failures alone that count: a harmless prompt was answered right after."""
        return self._failures

    def failed(self, error: ModelError, share: float, now: float) -> None:
        """Count a failure alone after which the same server answered a harmless prompt.

        `share` is how often that server fails by luck.
        """
        self._failures += 1
        self._timeouts += isinstance(error, TimedOut)
        self._share = max(self._share, share)
        self._first_at = min(self._first_at, now)
        self._last_at = now

    def died(self, requests: int, share: float) -> None:
        """Count a server that answered before this prompt, and nothing after it.

        `requests` failed in a row then, the prompt's own included.
        """
        self._deaths += 1
        self._chain += requests
        self._share = max(self._share, share)

    def skip(self, seconds: float) -> None:
        """Leave out a time in which it wasn't asked: its failures don't span that."""
        self._first_at += seconds
        self._last_at += seconds

    def condemns(self, other_deaths: int = 0) -> bool:
        """Whether it must be the prompt.

        `other_deaths` is how many servers died lately while asked another post's prompt.
        """
        if self._deaths == 0 and self._failures == 0:
            return False
        needed = failures_to_exclude_luck(self._share, VERDICT_ODDS)
        if self._deaths >= DEATHS + other_deaths and self._chain >= needed:
            return True
        slow = self._timeouts >= FAILURES_ALONE_SLOW
        least = FAILURES_ALONE_SLOW if slow else FAILURES_ALONE
        return self._failures >= max(least, needed) and self._last_at - self._first_at >= VERDICT_S

    def delay(self) -> float:
        """Seconds until it is asked alone again: doubling, capped."""
        return min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(self._failures - 1, 16))
