"""The stretches that end now: which speaks most for a rise; and what speaks for calm again."""

from math import log

from monitor.detection.baseline import Forecast, binary_variance
from monitor.detection.scan import LONGEST, STRETCHES, evidence, expected_of
from monitor.detection.state import State
from monitor.windows.panes import PANE_S, PANES_IN_WINDOW
from schemas.window import PaneSums

_HALF_S = LONGEST * PANE_S / 2
"""Seconds: half of the longest stretch."""


def strongest(
    state: State, pane: int, least: float, lowest: float
) -> tuple[float, int, float, float]:
    """Return the strongest stretch that ends with this pane: evidence, panes, shares.

    Stretches that speak with less than `least` nats may be left out. `lowest` is at most what any
    forecast in use expects (`lowest_expected`): most stretches are dismissed by it alone.
    """
    posts, soft, forecasts = state.posts, state.soft, state.forecasts
    all_posts, all_soft, first = posts[-1], soft[-1], forecasts[0].at // PANE_S
    dispersion, wander = state.baseline.dispersion, state.baseline.wander
    best, length, observed, usual = -1.0, 0, 0.0, 0.0
    last, before, end = len(posts) - 1, 0.0, (pane + 1) * PANE_S
    room = min(last, pane + 1 - max(state.floor, first))
    twice = 2 * least
    lowest_variance = binary_variance(lowest)
    # Up to `mirrored`, what is observed varies no less than what is expected.
    mirrored, too_small = 1 - lowest, twice * dispersion * lowest_variance
    for index, panes in enumerate(STRETCHES):
        if panes > room:
            break
        begin = last - panes
        number = all_posts - posts[begin]
        if number == before:
            continue
        before = number
        negative = all_soft - soft[begin]
        excess = negative - lowest * number
        if excess <= 0 or (excess * excess < too_small * number and negative < mirrored * number):
            continue
        share = negative / number
        # A yes or no varies least at the ends, and what is expected lies between these two.
        variance = min(lowest_variance, binary_variance(share))
        if (share - lowest) ** 2 * number < twice * dispersion * variance:
            continue
        step, offset = divmod(pane + 1 - panes - first, PANES_IN_WINDOW)
        mean, variance = expected_of(forecasts[step], index, offset, end, wander)
        excess = share - mean
        noise = dispersion * binary_variance(mean)
        if excess <= 0 or excess * excess < twice * (noise / number + variance):
            continue
        speaks = evidence(number, share, mean, variance, noise)
        if speaks > best:
            best, length, observed, usual = speaks, panes, share, mean
    return best, length, observed, usual


def least_expected(forecast: Forecast) -> float:
    """Return the least that this forecast expects of any stretch, by its mean and slope."""
    slope = forecast.slope
    return forecast.mean + slope * _HALF_S if slope < 0 else forecast.mean


def lowest_expected(forecasts: list[Forecast]) -> float:
    """Return the least that any of these expects."""
    return min(map(least_expected, forecasts), default=1.0)


def speaks_for_calm(sums: PaneSums, usual: float, rise: float) -> float:
    """Return the log-likelihood ratio (nats) of the usual share against the risen one.

    The rise is taken at seven tenths: it was measured when it was at its most striking.
    """
    risen = min(0.97, usual + 0.7 * rise)
    calm = (sums.scored - sums.soft) * log((1 - usual) / (1 - risen))
    return calm - sums.soft * log(risen / usual)
