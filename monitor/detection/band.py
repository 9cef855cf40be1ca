"""What was expected of some minutes, and the band around it: what the page draws."""

from math import sqrt

from msgspec import UNSET

from monitor.detection.baseline import STEP_S
from monitor.detection.scan import STRETCHES, expected_of
from monitor.detection.state import State
from monitor.windows.panes import PANES_IN_WINDOW
from schemas.window import Expected, ExpectedValue


def expected_of_minutes(state: State, start: int, minutes: int, posts: float) -> Expected | None:
    """Return what was expected of `minutes` minutes from `start` (Unix seconds) on.

    By the forecast that was made before they began; the band holds 95 % of the means of so many
    posts. None for what is longer ago than is kept.
    """
    forecasts = state.forecasts
    if posts <= 0 or not forecasts:
        return None
    step = (start - forecasts[0].at) // STEP_S
    if not 0 <= step < len(forecasts):
        return None
    stretch = STRETCHES.index(minutes * PANES_IN_WINDOW)
    baseline = state.baseline
    end = start + minutes * STEP_S
    mean, variance = expected_of(forecasts[step], stretch, 0, end, baseline.wander)
    mean = min(0.98, max(0.02, mean))
    usual = state.others.shares.band(posts)
    return Expected(
        negative_soft=_within(mean, variance + baseline.noise(mean) / posts),
        # The other measures look for rises: they hold the valence upside down.
        valence=UNSET if usual is None else _within(1 - usual[0], usual[1]),
    )


def _within(mean: float, variance: float) -> ExpectedValue:
    """Return the mean and the two values between which 95 % of a normal variable lie."""
    away = 1.96 * sqrt(max(0.0, variance))
    low, high = max(0.0, mean - away), min(1.0, mean + away)
    return ExpectedValue(expected=round(mean, 4), low=round(low, 4), high=round(high, 4))
