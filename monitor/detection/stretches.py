"""The stretches that end now: which speaks most for a rise; and what speaks for calm again."""

from collections.abc import Sequence
from math import log, sqrt
from operator import itemgetter

from monitor.detection.baseline import Forecast, binary_variance
from monitor.detection.scan import LONGEST, STRETCHES, evidence, expected_of
from monitor.detection.state import State
from monitor.windows.panes import PANE_S, PANES_IN_WINDOW
from schemas.window import PaneSums

_HALF_S = LONGEST * PANE_S / 2
"""Seconds: half of the longest stretch."""
_IN_USE = (LONGEST + 2 * PANES_IN_WINDOW) // PANES_IN_WINDOW
"""Forecasts, one a minute, that a stretch may begin with."""


class Bounds:
    """Between what the forecasts in use expect of any stretch."""

    __slots__ = ("highest", "lowest")

    def __init__(self, forecasts: Sequence[Forecast] = ()) -> None:
        self.lowest, self.highest = 1.0, 0.0
        for forecast in forecasts[-_IN_USE:]:
            self.hold(forecast)

    def hold(self, forecast: Forecast) -> None:
        """Let them hold one more forecast; only a new object forgets old ones."""
        mean, change = forecast.mean, forecast.slope * _HALF_S
        self.lowest = min(self.lowest, mean, mean + change)
        self.highest = max(self.highest, mean + abs(change) * 2 + max(0.0, forecast.wander))


def strongest(
    state: State, pane: int, least: float, bounds: Bounds
) -> tuple[float, int, float, float]:
    """Return the strongest stretch that ends with this pane: evidence, panes, shares.

    Stretches that speak with less than `least` nats may be left out: most are dismissed by the
    bounds alone.
    """
    if pane + 1 - state.floor >= LONGEST and nothing_stands_out(state, pane, least, bounds):
        return -1.0, 0, 0.0, 0.0
    lowest = bounds.lowest
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


def nothing_stands_out(state: State, pane: int, least: float, bounds: Bounds) -> bool:
    """Whether the bounds alone dismiss every stretch; False where that can't be told so quickly.

    A stretch of x posts is dismissed while its soft count is below lowest x + sqrt(c x). A chord of
    that curve lies below it, and being under a straight line is the same question for all stretches
    between its ends: that of their least soft count less slope times posts. Two chords, for the
    short and for the long stretches.
    """
    lowest, posts, soft = bounds.lowest, state.posts, state.soft
    enough = len(posts) > LONGEST and pane + 1 - state.forecasts[0].at // PANE_S >= LONGEST
    if not enough or least <= 0 or bounds.highest > 1 - lowest:
        return False
    all_posts, all_soft = posts[-1], soft[-1]
    curve = 2 * least * state.baseline.dispersion * binary_variance(lowest)
    for begins in _BEGINS:
        before = begins(posts)
        fewest, most = all_posts - before[0], all_posts - before[-1]
        if fewest <= 0:
            return False
        left, right = sqrt(curve * fewest), sqrt(curve * most)
        slope = curve / (left + right)
        room = left - slope * fewest - _ROUNDING
        slope += lowest
        least_so_far = min([s - slope * p for p, s in zip(before, begins(soft), strict=True)])
        if all_soft - slope * all_posts - least_so_far >= room:
            return False
    return True


_SHORT = 7
_BEGINS = tuple(
    itemgetter(*(-1 - panes for panes in some)) for some in (STRETCHES[:_SHORT], STRETCHES[_SHORT:])
)
"""The running sums at the beginnings of the short and of the long stretches."""
_ROUNDING = 1e-6
"""Posts: far more than the sums are off by."""


def speaks_for_calm(sums: PaneSums, usual: float, rise: float) -> float:
    """Return the log-likelihood ratio (nats) of the usual share against the risen one.

    The rise is taken at seven tenths: it was measured when it was at its most striking.
    """
    risen = min(0.97, usual + 0.7 * rise)
    calm = (sums.scored - sums.soft) * log((1 - usual) / (1 - risen))
    return calm - sums.soft * log(risen / usual)
