"""How well two models agree on the stream: the guard that sees a domain the second doesn't know."""

from collections import deque
from math import sqrt
from typing import Literal

POSTS = 400
"""The last posts that are compared: a correlation of .80 is then known within .02 (one standard
error, (1 - r^2) / sqrt(n))."""
LEAST_POSTS = 200
"""Fewer say too little: with 100, one stream of tweets in five would look like reviews."""
FOREIGN_BELOW = 0.77
"""A small and a big EmoLLM correlate by .80 to .90 on tweets, by .53 to .76 on reviews and news,
which the small one doesn't know (recorded answers of five models)."""
KNOWN_FROM = 0.80
"""From there on the domain counts as known again: between the two nothing changes."""


class Agreement:
    """Pearson's correlation of two models' valences over the last posts that both were asked."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[float, float]] = deque(maxlen=POSTS)
        self.foreign = False
        """Whether the stream is a domain that the second model doesn't know."""
        self.constant: Literal["first", "second"] | None = None
        """Which model gave all these posts the same valence: that one is broken."""

    def add(self, first: float, second: float) -> None:
        """Take one post's valences; O(1)."""
        self._pairs.append((first, second))

    def correlation(self) -> float | None:
        """The correlation; None with fewer than `LEAST_POSTS`.

        0 where a model never varies: it has none by definition, and says nothing of the posts.
        """
        if len(self._pairs) < LEAST_POSTS:
            return None
        return correlation(list(self._pairs)) or 0.0

    def judge(self) -> float | None:
        """Say whether the domain is `foreign`, by the correlation, which it gives."""
        found = self.correlation()
        if found is None:
            return None
        self.constant = None if found else self._constant()
        self.foreign = self.constant is None and found < (
            KNOWN_FROM if self.foreign else FOREIGN_BELOW
        )
        return found

    def _constant(self) -> Literal["first", "second"] | None:
        (first, second), *_ = self._pairs
        if all(one == first for one, _ in self._pairs):
            return "first"
        return "second" if all(other == second for _, other in self._pairs) else None


def correlation(pairs: list[tuple[float, float]]) -> float | None:
    """Pearson's correlation coefficient; None where a side never varies."""
    count = len(pairs)
    if not count:
        return None
    mean_x = sum(x for x, _ in pairs) / count
    mean_y = sum(y for _, y in pairs) / count
    xx = sum((x - mean_x) ** 2 for x, _ in pairs)
    yy = sum((y - mean_y) ** 2 for _, y in pairs)
    xy = sum((x - mean_x) * (y - mean_y) for x, y in pairs)
    return xy / sqrt(xx * yy) if xx > 1e-12 and yy > 1e-12 else None
