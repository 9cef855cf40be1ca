"""What a valence says: how surely a post is negative, and a histogram that can be merged."""

from math import erfc, sqrt

NEGATIVE_BELOW = 0.43
"""The lower bound of the neutral class of V-oc (`emollm.bands`)."""
_SPREAD = 0.11
"""Standard deviation of a model's valence around a person's, on SemEval-2018's tweets."""


def soft_negative(valence: float) -> float:
    """Return the probability that a post of this valence is negative: Phi((0.43 - v) / 0.11).

    A jump in the share negative shows in it as if a third more posts had been read.
    """
    return 0.5 * erfc((valence - NEGATIVE_BELOW) / (_SPREAD * sqrt(2)))


SOFT = tuple(soft_negative(step / 1000) for step in range(1001))
"""`soft_negative` by thousandths of valence: exact to 0.002, a tenth of the time."""

BINS = 101
"""One for each hundredth of valence, 0.00 to 1.00."""


def quantile(histogram: list[int], share: float) -> float:
    """Return the valence below which this share of the posts lies, exact to 0.01.

    Raises:
        ValueError: the histogram is empty.
    """
    total = sum(histogram)
    if not total:
        raise ValueError("an empty histogram has no quantiles")
    wanted, below = share * total, 0
    for step, count in enumerate(histogram):
        below += count
        if below >= wanted and count:
            return step / (BINS - 1)
    return 1.0
