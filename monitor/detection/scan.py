"""How much a stretch of posts speaks for a jump in the share negative, in nats."""

from math import exp, log

from monitor.detection.baseline import LEVEL_DRIFT, WANDER_S, Forecast
from monitor.windows.panes import PANE_S, PANES_IN_WINDOW

STRETCHES = (4, 6, 9, 12, 18, 24, 30, 42, 60, 90, 120, 180, 270)
"""Lengths of the stretches that are judged, in panes: forty seconds to 45 minutes."""
LONGEST = STRETCHES[-1]

JUMPS = (0.065, 0.13, 0.2275)
"""Jumps of the soft share that are looked for: storms of .10, .20, .35 of the posts, as the soft
count shows them (some two thirds)."""


def _mean_kept(span: float) -> float:
    """Return the mean of exp(-s) over [0, span]."""
    return (1 - exp(-span)) / span if span > 1e-6 else 1.0


def _mean_variance(span: float) -> float:
    """Return the variance of the mean of an AR(1) of variance 1 over [0, span] from a known value.

    `span` is in time constants. Integral of the autocovariance, less what the start explains.
    """
    if span < 1e-6:
        return 0.0
    kept = _mean_kept(span)
    return max(0.0, 2 / (span * span) * (span - 1 + exp(-span)) - kept * kept)


def _tables() -> tuple[list[list[float]], list[list[float]]]:
    """By stretch, and by how many panes it begins after the forecast: kept share, variance."""
    kept, spread = [], []
    for panes in STRETCHES:
        span = panes * PANE_S / WANDER_S
        offsets = [offset * PANE_S / WANDER_S for offset in range(PANES_IN_WINDOW)]
        kept.append([exp(-offset) * _mean_kept(span) for offset in offsets])
        spread.append([_mean_variance(span + offset) for offset in offsets])
    return kept, spread


KEPT, SPREAD = _tables()


def expected_of(
    forecast: Forecast, stretch: int, offset: int, end: float, wander: float
) -> tuple[float, float]:
    """Return mean and variance of the share over a stretch, by the forecast made before it.

    `stretch` is an index into STRETCHES; it begins `offset` panes after the forecast (0 to 5)
    and ends at `end` (Unix seconds). `wander` is the wandering's stationary variance.
    """
    kept = KEPT[stretch][offset]
    middle = end - STRETCHES[stretch] * (PANE_S / 2) - forecast.at
    # A mood that was better than usual isn't expected to stay so: when a joyful surge ends, the
    # way back to the usual is no rise.
    mean = forecast.mean + forecast.slope * middle + max(0.0, kept * forecast.wander)
    variance = (
        forecast.variance
        + 2 * kept * forecast.covariance
        + kept * kept * forecast.wander_variance
        + wander * SPREAD[stretch][offset]
        + LEVEL_DRIFT * (end - forecast.at) / 3
    )
    return mean, variance


def evidence(
    posts: float,
    share: float,
    mean: float,
    variance: float,
    noise: float,
    *,
    jumps: tuple[float, ...] = JUMPS,
) -> float:
    """Return the log-likelihood ratio (nats) of a jump against none: a mixture over jumps.

    `posts` with a mean soft count of `share` stand against an expected `mean`, known with
    `variance`; `noise` is one post's variance. The doubt about the mean makes posts weigh less:
    as many as would have that variance by themselves. The ratio is the binomial's, which unlike
    the normal one isn't fooled by three negative posts out of three.
    """
    calm = min(0.95, max(0.02, mean))
    seen = min(0.999, share)
    weight = max(1.0, calm * (1 - calm) / noise) / (1 / posts + max(0.0, variance) / noise)
    ratios = []
    for jump in jumps:
        risen = calm + jump * (1 - calm) / 0.75
        ratios.append(
            weight * (seen * log(risen / calm) + (1 - seen) * log((1 - risen) / (1 - calm)))
        )
    most = max(ratios)
    return most + log(sum(exp(ratio - most) for ratio in ratios) / len(ratios))
