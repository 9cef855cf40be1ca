"""How often a server fails, whatever it is asked: what luck alone would explain."""

import math

WINDOW = 256
"""Of how many requests, about: enough to tell 1 % from 10 %, and a minute of a small stream."""
_KEEP = 1 - 1 / WINDOW
_PRIOR_FAILED = 1.0
_PRIOR_ASKED = 20.0
"""A server that nothing is known of is taken to fail one request in twenty."""
MOST = 30
"""Failures in a row after which luck is excluded anyhow: a server that fails most requests answers
one in thirty, and a prompt of it can't be tried without end."""


class FailureRate:
    """A decaying share of failures among requests whose prompt nobody suspects.

    Those are first requests and the harmless prompts. A prompt that is asked again after a failure
    is no fair sample of its server: a poison prompt would make its server look bad, and be excused
    by it.
    """

    __slots__ = ("_asked", "_failed")

    def __init__(self) -> None:
        self._asked = 0.0
        self._failed = 0.0

    def on_answer(self) -> None:
        """Count a request that was answered."""
        self._asked = self._asked * _KEEP + 1.0
        self._failed *= _KEEP

    def on_failure(self) -> None:
        """Count a request that failed, whatever the error."""
        self._asked = self._asked * _KEEP + 1.0
        self._failed = self._failed * _KEEP + 1.0

    @property
    def share(self) -> float:
        """Estimated probability that a request fails by luck; above 0 and below 1."""
        return (self._failed + _PRIOR_FAILED) / (self._asked + _PRIOR_ASKED)


def failures_to_exclude_luck(share: float, odds: float) -> int:
    """Failures in a row that luck explains with a probability of at most `odds`.

    `share` is the probability that one request fails by luck.
    """
    return min(MOST, math.ceil(math.log(odds) / math.log(share)))
