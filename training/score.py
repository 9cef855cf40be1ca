"""The scores of the Affective Evaluation Benchmark (EmoLLMs, KDD '24, section 4).

Pearson's coefficient for EI-reg, EI-oc (each the mean over the four emotions), V-reg and V-oc;
Jaccard accuracy, micro- and macro-averaged F1 for E-c, as in SemEval-2018 task 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np


def pearson(predicted: Sequence[float], gold: Sequence[float]) -> float:
    """Pearson's correlation coefficient; 0 where either side never varies."""
    left = np.asarray(predicted, np.float64)
    right = np.asarray(gold, np.float64)
    left, right = left - left.mean(), right - right.mean()
    scale = float(np.sqrt((left @ left) * (right @ right)))
    return float(left @ right) / scale if scale else 0.0


def jaccard(predicted: Sequence[AbstractSet[str]], gold: Sequence[AbstractSet[str]]) -> float:
    """Mean share of the labels of either side that both sides have; 1 where both have none."""
    shares = [
        len(one & other) / len(one | other) if one | other else 1.0
        for one, other in zip(predicted, gold, strict=True)
    ]
    return sum(shares) / len(shares)


def _f1(both: int, predicted: int, gold: int) -> float:
    """2PR / (P + R); 0 where nothing was right."""
    return 2 * both / (predicted + gold) if both else 0.0


def f1(
    predicted: Sequence[AbstractSet[str]], gold: Sequence[AbstractSet[str]], labels: Sequence[str]
) -> tuple[float, float]:
    """Micro- and macro-averaged F1 over the labels."""
    counts = [
        (
            sum(label in one and label in other for one, other in pairs),
            sum(label in one for one, _ in pairs),
            sum(label in other for _, other in pairs),
        )
        for pairs in [list(zip(predicted, gold, strict=True))]
        for label in labels
    ]
    micro = _f1(*(sum(column) for column in zip(*counts, strict=True)))
    return micro, sum(_f1(*count) for count in counts) / len(labels)
