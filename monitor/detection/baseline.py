"""What a track's mood should be now: level, daily rhythm and wandering, by a Kalman filter."""

from math import cos, exp, log, pi, sin, sqrt
from operator import mul

import msgspec

STEP_S = 60
"""Seconds between two steps of the filter."""

WANDER_S = 1800.0
"""Time constant of the mood's own wandering (a first-order autoregression), seconds."""
_KEEP = exp(-STEP_S / WANDER_S)

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
    state: list[float]
    spread: list[list[float]]


class Baseline(msgspec.Struct):
    """A track's usual soft share negative, learnt as it goes.

    Six numbers are estimated: level (a slow random walk), wandering (mean-reverting, time
    constant half an hour), and two harmonics of the day. Each minute's posts weigh by their
    number. How much the mood wanders is learnt, too, from how far forecasts miss.
    """

    at: int
    """Unix seconds of the state."""
    state: list[float] = []
    """Level, wandering, cos and sin of the day, cos and sin of the half day."""
    spread: list[list[float]] = []
    """Covariance of the state."""
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

    def __post_init__(self) -> None:
        """Start from what is usual: a third negative, give or take."""
        if not self.state:
            self.state = [0.3, 0.0, 0.0, 0.0, 0.0, 0.0]
            variances = (0.15**2, self.wander, 0.08**2, 0.08**2, 0.03**2, 0.03**2)
            self.spread = [
                [variance if row == column else 0.0 for column in range(6)]
                for row, variance in enumerate(variances)
            ]

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
        design = _design(self.at - STEP_S / 2)
        rows = self.spread
        toward = [sum(map(mul, row, design)) for row in rows]
        foreseen = sum(map(mul, design, self.state))
        variance = sum(map(mul, design, toward)) + self.noise(foreseen) / posts
        error = soft / posts - foreseen
        surprise = error * error / variance
        self._learn_wander(surprise, rows[1][1] / variance)
        pull = error if surprise <= _OUTLIER**2 else error * _OUTLIER / sqrt(surprise)
        self.state = [x + t * pull / variance for x, t in zip(self.state, toward, strict=True)]
        self.spread = [
            [c - t * u / variance for c, u in zip(row, toward, strict=True)]
            for row, t in zip(rows, toward, strict=True)
        ]

    def noise(self, mean: float) -> float:
        """Return the variance of one post's soft count where `mean` is usual."""
        return self.dispersion * binary_variance(mean)

    def step(self) -> None:
        """Go on by one step without an observation."""
        self.at += STEP_S
        self.slow += (self.state[0] - self.slow) * STEP_S / _SLOW_S
        self.state[1] *= _KEEP
        rows = self.spread
        for row in rows:
            row[1] *= _KEEP
        rows[1] = [value * _KEEP for value in rows[1]]
        rows[1][1] += self.wander * (1 - _KEEP * _KEEP)
        rows[0][0] += LEVEL_DRIFT * STEP_S
        for index in (2, 3, 4, 5):
            rows[index][index] += _RHYTHM_DRIFT

    def forecast(self) -> Forecast:
        """Return what is known at `at` of the minutes that follow."""
        design = _design(self.at)
        design[1] = 0.0
        rows = self.spread
        toward = [sum(map(mul, row, design)) for row in rows]
        _, _, c1, s1, c2, s2 = self.state
        _, _, cos1, sin1, cos2, sin2 = design
        return Forecast(
            at=self.at,
            mean=sum(map(mul, design, self.state)) + max(0.0, self.slow - self.state[0]),
            slope=_DAY * (s1 * cos1 - c1 * sin1 + 2 * (s2 * cos2 - c2 * sin2)),
            wander=self.state[1],
            variance=sum(map(mul, design, toward)),
            covariance=toward[1],
            wander_variance=rows[1][1],
            state=list(self.state),
            spread=[list(row) for row in rows],
        )

    def expected(self, at: float) -> float:
        """Return the usual share at a time (Unix seconds), without the wandering of the moment."""
        design = _design(at)
        design[1] = 0.0
        usual: float = sum(map(mul, design, self.state))
        return min(0.98, max(0.02, usual))

    def resume(self, forecast: Forecast) -> None:
        """Go back to a forecast, and forward to now without what came since."""
        now = self.at
        self.at = forecast.at
        self.state = list(forecast.state)
        self.spread = [list(row) for row in forecast.spread]
        while self.at < now:
            self.step()

    def move(self, by: float) -> None:
        """Put the level higher or lower at once, and doubt it."""
        self.state[0] += by
        self.slow = self.state[0]
        self.loosen(0.1)

    def loosen(self, deviation: float) -> None:
        """Doubt the level by this standard deviation: it may have moved, the rhythm hasn't."""
        self.spread[0][0] += deviation * deviation

    def deviation(self) -> float:
        """Return the standard deviation of the level."""
        return sqrt(max(0.0, self.spread[0][0]))

    def _learn_wander(self, surprise: float, share: float) -> None:
        # Recursive maximum likelihood: the gradient over the information gathered. Larger misses
        # than foreseen mean more wandering. 1.04 makes up for the cut at 6, for a normal variable.
        self.knowledge = self.knowledge * _KNOWLEDGE_KEPT + share * share
        step = (min(surprise, 6.0) * 1.04 - 1.0) * share / (_PRIOR_KNOWLEDGE + self.knowledge)
        self.wander = min(_MOST_WANDER, max(_LEAST_WANDER, exp(log(self.wander) + step)))


def binary_variance(share: float) -> float:
    """Return the variance of a yes or no of this share; of .02 and .98 at the edges."""
    within = min(0.98, max(0.02, share))
    return within * (1 - within)


def _design(at: float) -> list[float]:
    day = _DAY * at
    return [1.0, 1.0, cos(day), sin(day), cos(2 * day), sin(2 * day)]
