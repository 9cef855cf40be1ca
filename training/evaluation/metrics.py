"""The metrics of SemEval-2018 task 1 (Mohammad et al., 2018, section 4), in plain Python.

Two details are as in the organisers' own script: a side that never varies has a correlation of 0,
and a post that has no label on either side has a Jaccard index of 1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet


def pearson(predicted: Sequence[float], gold: Sequence[float]) -> float:
    """Pearson's correlation coefficient, -1 to 1; 0 where either side never varies.

    Raises:
        ValueError: there is nothing to correlate, or the sides differ in length.
    """
    if not gold or len(predicted) != len(gold):
        raise ValueError("a correlation needs pairs")
    left, right = _centred(predicted), _centred(gold)
    scale = math.sqrt(_product(left, left) * _product(right, right))
    return max(-1.0, min(1.0, _product(left, right) / scale)) if scale else 0.0


def mean_absolute_error(predicted: Sequence[float], gold: Sequence[float]) -> float:
    """Mean of |predicted - gold|, in units of the scale."""
    pairs = zip(predicted, gold, strict=True)
    return math.fsum(abs(one - other) for one, other in pairs) / len(gold)


def accuracy(predicted: Sequence[object], gold: Sequence[object]) -> float:
    """Share of predictions that equal the gold label."""
    return sum(one == other for one, other in zip(predicted, gold, strict=True)) / len(gold)


def quadratic_kappa(predicted: Sequence[int], gold: Sequence[int]) -> float:
    """Cohen's kappa with quadratic weights on ordinal classes: 1 agreement, 0 chance.

    A weight is the squared difference of two classes' places among the gold classes, as in the
    organisers' script; predictions of a class that no gold label has are left out by it, too.
    0 where chance alone would give no disagreement.
    """
    places = {label: place for place, label in enumerate(sorted(set(gold)))}
    pairs = [
        (places[one], places[other])
        for one, other in zip(predicted, gold, strict=True)
        if one in places
    ]
    rows = Counter(one for one, _ in pairs)
    columns = Counter(other for _, other in pairs)
    observed = sum((one - other) ** 2 for one, other in pairs)
    expected = sum(
        (one - other) ** 2 * many * more
        for one, many in rows.items()
        for other, more in columns.items()
    )
    return 1 - observed * len(pairs) / expected if expected else 0.0


def jaccard(predicted: Sequence[AbstractSet[str]], gold: Sequence[AbstractSet[str]]) -> float:
    """Mean share of the labels of either side that both sides have; 1 where both have none."""
    shares = [
        len(one & other) / len(one | other) if one | other else 1.0
        for one, other in zip(predicted, gold, strict=True)
    ]
    return math.fsum(shares) / len(shares)


def f1(
    predicted: Sequence[AbstractSet[str]], gold: Sequence[AbstractSet[str]], labels: Sequence[str]
) -> tuple[float, float]:
    """Micro- and macro-averaged F1 over `labels`; a label that nobody used counts as 0."""
    pairs = list(zip(predicted, gold, strict=True))
    counts = [
        (
            sum(label in one and label in other for one, other in pairs),
            sum(label in one for one, _ in pairs),
            sum(label in other for _, other in pairs),
        )
        for label in labels
    ]
    micro = _f1(*(sum(column) for column in zip(*counts, strict=True)))
    return micro, sum(_f1(*count) for count in counts) / len(labels)


def _f1(both: int, predicted: int, gold: int) -> float:
    """2PR / (P + R); 0 where nothing was right."""
    return 2 * both / (predicted + gold) if both else 0.0


def _centred(values: Sequence[float]) -> list[float]:
    if min(values) == max(values):  # the mean's rounding must not make it vary
        return [0.0] * len(values)
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


def _product(left: Sequence[float], right: Sequence[float]) -> float:
    return math.fsum(one * other for one, other in zip(left, right, strict=True))
