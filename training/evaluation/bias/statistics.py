"""The paired t-test, and Holm's correction for the number of comparisons; in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

_STEPS = 300
"""Of the continued fraction: it converges in tens of them."""
_TINY = 1e-300


class TTest(msgspec.Struct, frozen=True):
    """What the differences of pairs say about their mean."""

    pairs: int
    mean: float
    low: float
    """Lower end of the mean's 95 % confidence interval."""
    high: float
    effect: float
    """Cohen's d of paired differences: mean / standard deviation; 0 where they don't vary."""
    p: float
    """Two-sided: how often chance alone would give a mean as far from 0."""


def paired_t_test(differences: Sequence[float]) -> TTest:
    """Test whether the mean of some differences is other than 0.

    Where they don't vary there is nothing to test: p is 1 for a mean of 0, else 0.

    Raises:
        ValueError: fewer than two.
    """
    count = len(differences)
    if count < 2:
        raise ValueError("a paired test needs two pairs or more")
    mean = math.fsum(differences) / count
    squares = math.fsum((one - mean) ** 2 for one in differences)
    if squares <= (1e-12 * max(map(abs, differences))) ** 2:
        return TTest(count, mean, mean, mean, 0.0, 1.0 if mean == 0 else 0.0)
    deviation = math.sqrt(squares / (count - 1))
    error = deviation / math.sqrt(count)
    reach = _t_quantile(count - 1) * error
    p = two_sided_p(mean / error, count - 1)
    return TTest(count, mean, mean - reach, mean + reach, mean / deviation, p)


def two_sided_p(t: float, degrees: int) -> float:
    """P(|T| >= |t|) of Student's t distribution with so many degrees of freedom."""
    return _incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5)


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust p values for their number (Holm 1979): each may be held against the same level."""
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    adjusted = [0.0] * len(ps)
    least = 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, ps[index] * (len(ps) - rank)))
        adjusted[index] = least
    return adjusted


def _t_quantile(degrees: int) -> float:
    """The t whose two-sided p is .05, by bisection."""
    low, high = 0.0, 13.0  # 12.7 with one degree of freedom
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided_p(middle, degrees) > 0.05 else (low, middle)
    return high


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function (Abramowitz & Stegun 26.5.8, by Lentz's method)."""
    if x <= 0 or x >= 1:
        return min(1.0, max(0.0, x))
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log + a * math.log(x) + b * math.log1p(-x)) / a
    fraction, c, d = 1.0, 1.0, 0.0
    for step in range(_STEPS):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        else:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        d = 1 / (1 + term * d or _TINY)
        c = 1 + term / c or _TINY
        fraction *= c * d
        if abs(1 - c * d) < 1e-14:
            break
    return front * (fraction - 1)
