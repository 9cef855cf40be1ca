"""What a track's mood should be now: level, daily rhythm and wandering, by a Kalman filter."""

from functools import lru_cache
from math import cos, exp, log, pi, sin, sqrt
from typing import TypeAlias

import msgspec

STEP_S = 60
"""Seconds between two steps of the filter."""

WANDER_S = 1800.0
"""Time constant of the mood's own wandering (a first-order autoregression), seconds."""
_KEEP = exp(-STEP_S / WANDER_S)
_NEW_VARIANCE = 1 - _KEEP * _KEEP

LEVEL_DRIFT = 0.007**2 / 3600
"""Variance that the level gains a second: 0.007 of the share negative in an hour, .034 in a day."""
_RHYTHM_DRIFT = 0.01**2 / 86400 * STEP_S
_DAY = 2 * pi / 86400

_FIRST_WANDER = 0.02**2
_LEAST_WANDER, _MOST_WANDER = 0.006**2, 0.15**2
_PRIOR_KNOWLEDGE = 20.0
"""What `_FIRST_WANDER` is worth: Fisher information on a log scale, times two."""
_KNOWLEDGE_KEPT = 0.9998
"""Kept of what was learnt of the wandering per minute: a time constant of three and a half days."""
_SLOW_S = 6 * 3600.0
_OUTLIER = 3.0
"""Standard deviations from which on an observation weighs less (Huber)."""


Vector: TypeAlias = tuple[float, float, float, float, float, float]
"""Level, wandering, cos and sin of the day, cos and sin of the half day."""
Covariance: TypeAlias = tuple[float, ...]
"""The upper half of a symmetric 6 x 6 matrix, row by row: 21 numbers."""

# The arithmetic below is written out: as loops over rows it took three times as long, and it is a
# quarter of what a backtest costs. Tuples, so that a forecast may keep them without a copy.


class Forecast(msgspec.Struct):
    """The state of the filter at one step, before what follows is seen."""

    at: int
    """Unix seconds."""
    mean: float
    """Level and rhythm: the share negative without the wandering."""
    slope: float
    """Change of the rhythm a second."""
    wander: float
    variance: float
    """Of `mean`."""
    covariance: float
    """Of `mean` and `wander`."""
    wander_variance: float
    state: Vector
    spread: Covariance


def _diagonal(*variances: float) -> Covariance:
    return tuple(
        variances[row] if row == column else 0.0 for row in range(6) for column in range(row, 6)
    )


class Baseline(msgspec.Struct):
    """A track's usual soft share negative, learnt as it goes.

    Six numbers are estimated: level (a slow random walk), wandering (mean-reverting, time
    constant half an hour), and two harmonics of the day. Each minute's posts weigh by their
    number. How much the mood wanders is learnt, too, from how far forecasts miss.
    """

    at: int
    """Unix seconds of the state."""
    state: Vector = (0.3, 0.0, 0.0, 0.0, 0.0, 0.0)
    """At first what is usual: a third negative, give or take `spread`."""
    spread: Covariance = _diagonal(0.15**2, _FIRST_WANDER, 0.08**2, 0.08**2, 0.03**2, 0.03**2)
    wander: float = _FIRST_WANDER
    """Stationary variance of the wandering."""
    slow: float = 0.3
    """The level, following by six hours: what a short while of better mood doesn't lower."""
    dispersion: float = 0.7
    """Variance of one post's soft count, relative to that of a yes or no with the same mean."""
    knowledge: float = 0.0
    """What has been learnt of `wander`, in the same measure as `_PRIOR_KNOWLEDGE`."""
    weight: float = 0.0
    """Posts that `dispersion` was learnt from, at most 5,000."""

    def observe(self, posts: float, soft: float, squares: float) -> None:
        """Learn from the posts of the step that ends at `at` (their number and sums)."""
        if posts <= 0:
            return
        level = self.state[0]
        missed = squares - 2 * level * soft + posts * level * level
        self.weight = min(5000.0, self.weight + posts)
        gain = posts / max(100.0, self.weight)
        if gain < 0.5:
            seen = missed / posts / binary_variance(level)
            self.dispersion = max(0.05, self.dispersion + gain * (seen - self.dispersion))
        cos1, sin1, cos2, sin2 = _harmonics(self.at - STEP_S / 2)
        x0, x1, x2, x3, x4, x5 = self.state
        (c00, c01, c02, c03, c04, c05, c11, c12, c13, c14, c15, c22, c23, c24, c25, c33, c34, c35,
         c44, c45, c55) = self.spread  # fmt: skip
        t0 = c00 + c01 + c02 * cos1 + c03 * sin1 + c04 * cos2 + c05 * sin2
        t1 = c01 + c11 + c12 * cos1 + c13 * sin1 + c14 * cos2 + c15 * sin2
        t2 = c02 + c12 + c22 * cos1 + c23 * sin1 + c24 * cos2 + c25 * sin2
        t3 = c03 + c13 + c23 * cos1 + c33 * sin1 + c34 * cos2 + c35 * sin2
        t4 = c04 + c14 + c24 * cos1 + c34 * sin1 + c44 * cos2 + c45 * sin2
        t5 = c05 + c15 + c25 * cos1 + c35 * sin1 + c45 * cos2 + c55 * sin2
        foreseen = x0 + x1 + x2 * cos1 + x3 * sin1 + x4 * cos2 + x5 * sin2
        variance = (
            t0 + t1 + t2 * cos1 + t3 * sin1 + t4 * cos2 + t5 * sin2
            + self.dispersion * binary_variance(foreseen) / posts
        )  # fmt: skip
        error = soft / posts - foreseen
        surprise = error * error / variance
        self._learn_wander(surprise, c11 / variance)
        pull = error if surprise <= _OUTLIER**2 else error * _OUTLIER / sqrt(surprise)
        self.state = (
            x0 + t0 * pull / variance, x1 + t1 * pull / variance, x2 + t2 * pull / variance,
            x3 + t3 * pull / variance, x4 + t4 * pull / variance, x5 + t5 * pull / variance,
        )  # fmt: skip
        self.spread = (
            c00 - t0 * t0 / variance, c01 - t0 * t1 / variance, c02 - t0 * t2 / variance,
            c03 - t0 * t3 / variance, c04 - t0 * t4 / variance, c05 - t0 * t5 / variance,
            c11 - t1 * t1 / variance, c12 - t1 * t2 / variance, c13 - t1 * t3 / variance,
            c14 - t1 * t4 / variance, c15 - t1 * t5 / variance, c22 - t2 * t2 / variance,
            c23 - t2 * t3 / variance, c24 - t2 * t4 / variance, c25 - t2 * t5 / variance,
            c33 - t3 * t3 / variance, c34 - t3 * t4 / variance, c35 - t3 * t5 / variance,
            c44 - t4 * t4 / variance, c45 - t4 * t5 / variance, c55 - t5 * t5 / variance,
        )  # fmt: skip

    def noise(self, mean: float) -> float:
        """Return the variance of one post's soft count where `mean` is usual."""
        return self.dispersion * binary_variance(mean)

    def step(self) -> None:
        """Go on by one step without an observation."""
        self.at += STEP_S
        self.slow += (self.state[0] - self.slow) * STEP_S / _SLOW_S
        x0, x1, x2, x3, x4, x5 = self.state
        self.state = x0, x1 * _KEEP, x2, x3, x4, x5
        (c00, c01, c02, c03, c04, c05, c11, c12, c13, c14, c15, c22, c23, c24, c25, c33, c34, c35,
         c44, c45, c55) = self.spread  # fmt: skip
        self.spread = (
            c00 + LEVEL_DRIFT * STEP_S, c01 * _KEEP, c02, c03, c04, c05,
            c11 * _KEEP * _KEEP + self.wander * _NEW_VARIANCE,
            c12 * _KEEP, c13 * _KEEP, c14 * _KEEP, c15 * _KEEP,
            c22 + _RHYTHM_DRIFT, c23, c24, c25,
            c33 + _RHYTHM_DRIFT, c34, c35,
            c44 + _RHYTHM_DRIFT, c45,
            c55 + _RHYTHM_DRIFT,
        )  # fmt: skip

    def forecast(self) -> Forecast:
        """Return what is known at `at` of the minutes that follow."""
        cos1, sin1, cos2, sin2 = _harmonics(self.at)
        x0, x1, x2, x3, x4, x5 = self.state
        (c00, c01, c02, c03, c04, c05, c11, c12, c13, c14, c15, c22, c23, c24, c25, c33, c34, c35,
         c44, c45, c55) = self.spread  # fmt: skip
        t0 = c00 + c02 * cos1 + c03 * sin1 + c04 * cos2 + c05 * sin2
        t2 = c02 + c22 * cos1 + c23 * sin1 + c24 * cos2 + c25 * sin2
        t3 = c03 + c23 * cos1 + c33 * sin1 + c34 * cos2 + c35 * sin2
        t4 = c04 + c24 * cos1 + c34 * sin1 + c44 * cos2 + c45 * sin2
        t5 = c05 + c25 * cos1 + c35 * sin1 + c45 * cos2 + c55 * sin2
        mean = x0 + x2 * cos1 + x3 * sin1 + x4 * cos2 + x5 * sin2
        return Forecast(
            at=self.at,
            mean=mean + (self.slow - x0 if self.slow > x0 else 0.0),
            slope=_DAY * (x3 * cos1 - x2 * sin1 + 2 * (x5 * cos2 - x4 * sin2)),
            wander=x1,
            variance=t0 + t2 * cos1 + t3 * sin1 + t4 * cos2 + t5 * sin2,
            covariance=c01 + c12 * cos1 + c13 * sin1 + c14 * cos2 + c15 * sin2,
            wander_variance=c11,
            state=self.state,
            spread=self.spread,
        )

    def expected(self, at: float) -> float:
        """Return the usual share at a time (Unix seconds), without the wandering of the moment."""
        cos1, sin1, cos2, sin2 = _harmonics(at)
        x0, _, x2, x3, x4, x5 = self.state
        return min(0.98, max(0.02, x0 + x2 * cos1 + x3 * sin1 + x4 * cos2 + x5 * sin2))

    def resume(self, forecast: Forecast) -> None:
        """Go back to a forecast, and forward to now without what came since."""
        now = self.at
        self.at, self.state, self.spread = forecast.at, forecast.state, forecast.spread
        while self.at < now:
            self.step()

    def move(self, by: float) -> None:
        """Put the level higher or lower at once, and doubt it."""
        self.slow = self.state[0] + by
        self.state = self.slow, *self.state[1:]
        self.loosen(0.1)

    def loosen(self, deviation: float) -> None:
        """Doubt the level by this standard deviation: it may have moved, the rhythm hasn't."""
        self.spread = self.spread[0] + deviation * deviation, *self.spread[1:]

    def deviation(self) -> float:
        """Return the standard deviation of the level."""
        return sqrt(max(0.0, self.spread[0]))

    def _learn_wander(self, surprise: float, share: float) -> None:
        # Recursive maximum likelihood: the gradient over the information gathered. Larger misses
        # than foreseen mean more wandering. 1.04 makes up for the cut at 6, for a normal variable.
        self.knowledge = self.knowledge * _KNOWLEDGE_KEPT + share * share
        step = (min(surprise, 6.0) * 1.04 - 1.0) * share / (_PRIOR_KNOWLEDGE + self.knowledge)
        self.wander = min(_MOST_WANDER, max(_LEAST_WANDER, exp(log(self.wander) + step)))


def binary_variance(share: float) -> float:
    """Return the variance of a yes or no of this share; of .02 and .98 at the edges."""
    if 0.02 <= share <= 0.98:
        return share * (1 - share)
    edge = 0.02 if share < 0.02 else 0.98
    return edge * (1 - edge)


@lru_cache(maxsize=256)
def _harmonics(at: float) -> tuple[float, float, float, float]:
    """Return cos and sin of the day and of the half day; all tracks ask for the same minutes."""
    day = _DAY * at
    return cos(day), sin(day), cos(2 * day), sin(2 * day)
