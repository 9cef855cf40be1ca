"""What is usual for a track, as the page draws it around its figures.

Of mood, it is what the detector expected, as alerts say it. How many posts come a minute is judged
by nobody: their band is a picture only.
"""

from collections.abc import Sequence
from math import sqrt

from msgspec import UnsetType

from monitor.page.data import Band, Expected
from schemas import window as windows

_MEMORY_MINUTES = 180
"""Half of the weight lies within the last two hours."""
_WIDTH = 1.96
"""Standard deviations: 19 minutes in 20, were the figures normal."""
_LEAST = 20
"""Minutes with posts before there is a band."""


class UsualPosts:
    """The usual number of posts a minute and its spread, both forgotten exponentially."""

    __slots__ = ("mean", "minutes", "spread")

    def __init__(self) -> None:
        self.mean = 0.0
        self.spread = 0.0
        """Variance around the mean, beyond a Poisson variable's."""
        self.minutes = 0

    def add(self, posts: int) -> None:
        """Learn from a calm minute."""
        noise = max(1.0, self.mean)
        self.minutes += 1
        share = max(1 / self.minutes, 1 / _MEMORY_MINUTES)
        missed = posts - self.mean
        self.mean += share * missed
        excess = max(0.0, missed * missed - noise) if self.minutes > 1 else 0.0
        self.spread += share * (excess - self.spread)

    def band(self) -> Band | None:
        """The band of a minute's posts; None while it isn't known."""
        if self.minutes < _LEAST:
            return None
        away = _WIDTH * sqrt(max(1.0, self.mean) + self.spread)
        return Band(expected=self.mean, low=max(0.0, self.mean - away), high=self.mean + away)


def expected_of(expected: windows.Expected, posts: UsualPosts) -> Expected:
    """What the detector expected of a stretch, and the usual number of posts a minute."""
    return Expected(
        negative_share=_band(expected.negative_soft),
        valence=_band(expected.valence),
        posts=posts.band(),
    )


def judged(minutes: Sequence[windows.Window]) -> float | None:
    """The share negative as the detector judges it; None without a scored post.

    The mean probability that a post is negative, authors and texts capped.
    """
    scored = sum(pane.scored for window in minutes for pane in window.panes)
    if not scored:
        return None
    return sum(pane.soft for window in minutes for pane in window.panes) / scored


def _band(value: windows.ExpectedValue | UnsetType) -> Band | None:
    if isinstance(value, UnsetType):
        return None
    return Band(expected=value.expected, low=value.low, high=value.high)
