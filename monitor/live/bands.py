"""What is usual for a track: the band that the page draws around its figures.

A picture, not a judgement: whether something is a spike is the detector's business alone.
"""

from math import sqrt

from msgspec import UnsetType

from monitor.page.source import Band, Expected
from schemas.window import Window

_MEMORY_MINUTES = 180
"""Half of the weight lies within the last two hours."""
_WIDTH = 1.96
"""Standard deviations: 19 minutes in 20, were the figures normal."""
_LEAST = 20
"""Minutes with posts before anything is said."""


class Usual:
    """One figure's usual value and how far a minute's strays, both forgotten exponentially."""

    __slots__ = ("mean", "minutes", "spread")

    def __init__(self) -> None:
        self.mean = 0.0
        self.spread = 0.0
        """Variance of the figure around its mean, beyond what the number of posts explains."""
        self.minutes = 0

    def add(self, value: float, noise: float) -> None:
        """Take a minute's figure; `noise` is the variance that its number of posts explains."""
        self.minutes += 1
        share = max(1 / self.minutes, 1 / _MEMORY_MINUTES)
        missed = value - self.mean
        self.mean += share * missed
        excess = max(0.0, missed * missed - noise) if self.minutes > 1 else 0.0
        self.spread += share * (excess - self.spread)

    def band(self, noise: float, *, most: float) -> Band | None:
        """The band of a figure with this noise, within 0 and `most`; None while it isn't known."""
        if self.minutes < _LEAST:
            return None
        away = _WIDTH * sqrt(max(0.0, noise) + self.spread)
        return Band(
            expected=self.mean,
            low=max(0.0, self.mean - away),
            high=min(most, self.mean + away),
        )


class TrackBands:
    """A track's usual share negative, valence and posts a minute."""

    def __init__(self) -> None:
        self._share = Usual()
        self._valence = Usual()
        self._posts = Usual()

    def add(self, window: Window) -> None:
        """Learn from a calm minute."""
        self._posts.add(window.posts, max(1.0, self._posts.mean))
        if window.scored:
            if not isinstance(window.negative_share, UnsetType):
                self._share.add(window.negative_share, self._share_noise(window.scored))
            if not isinstance(window.valence_mean, UnsetType):
                self._valence.add(window.valence_mean, _VALENCE_NOISE / window.scored)

    def expected(self, scored: int) -> Expected:
        """The bands of a stretch with so many posts; that of posts is a minute's."""
        posts = max(1, scored)
        return Expected(
            negative_share=self._share.band(self._share_noise(posts), most=1.0),
            valence=self._valence.band(_VALENCE_NOISE / posts, most=1.0),
            posts=self._posts.band(max(1.0, self._posts.mean), most=float("inf")),
        )

    def _share_noise(self, posts: int) -> float:
        usual = min(0.95, max(0.05, self._share.mean))
        return usual * (1 - usual) / posts


_VALENCE_NOISE = 0.04
"""Variance of one post's valence, as in tweets (standard deviation .2)."""
