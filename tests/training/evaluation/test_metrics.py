"""The metrics, against values computed by hand and against scipy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr

from training.evaluation.metrics import (
    accuracy,
    f1,
    jaccard,
    mean_absolute_error,
    pearson,
    quadratic_kappa,
)

NUMBERS = st.integers(0, 1_000).map(lambda number: number / 1_000)


def test_pearson_by_hand() -> None:
    """X - mean = -1, 0, 1; y - mean = -2, 1, 1: 3 / sqrt(2 * 6)."""
    assert pearson([1, 2, 3], [1, 4, 4]) == pytest.approx(3 / math.sqrt(12))
    assert pearson([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_pearson_of_a_constant_is_zero() -> None:
    assert pearson([0.5, 0.5], [0.1, 0.9]) == 0


def test_jaccard_by_hand() -> None:
    """1/3, 1 (nothing on either side), 0."""
    predicted = [{"joy", "love"}, set(), {"fear"}]
    gold = [{"joy", "trust"}, set(), {"joy"}]
    assert jaccard(predicted, gold) == pytest.approx((1 / 3 + 1 + 0) / 3)


def test_f1_by_hand() -> None:
    """joy: 1 of 2 predicted, 1 of 1 gold: 2/3; fear: nothing right: 0; micro: 2 * 1 / (3 + 2)."""
    predicted = [{"joy"}, {"joy"}, {"fear"}]
    gold = [{"joy"}, {"fear"}, set[str]()]
    micro, macro = f1(predicted, gold, ["joy", "fear"])
    assert micro == pytest.approx(2 / 5)
    assert macro == pytest.approx((2 / 3 + 0) / 2)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20))
def test_pearson_is_scipys(pairs: list[tuple[float, float]]) -> None:
    """Two pairs are given, so that both sides vary."""
    left = [0.0, 1.0, *(one for one, _ in pairs)]
    right = [0.3, 0.9, *(other for _, other in pairs)]
    assert pearson(left, right) == pytest.approx(float(pearsonr(left, right).statistic), abs=1e-9)


def test_a_correlation_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs pairs"):
        pearson([], [])


def test_kappa_by_hand() -> None:
    """Gold 0 0 1 2, predicted 0 1 1 0: disagreement 1 + 4.

    By chance, with predicted 0 twice and 1 twice: 0 meets 1 (2 * 1 * 1) and 2 (2 * 1 * 4), 1 meets
    0 (2 * 2 * 1) and 2 (2 * 1 * 1): 16 / 4. So 1 - 5 / 4.
    """
    assert quadratic_kappa([0, 1, 1, 0], [0, 0, 1, 2]) == pytest.approx(1 - 5 / 4)


def test_kappa_is_1_for_agreement_and_0_where_nothing_can_differ() -> None:
    assert quadratic_kappa([0, 1, 2], [0, 1, 2]) == 1
    assert quadratic_kappa([1, 1], [1, 1]) == 0


def test_kappa_weighs_places_among_the_gold_classes() -> None:
    """-3 and 3 are neighbours where gold knows no class between; a class it lacks isn't counted."""
    assert quadratic_kappa([-3, 3, 0], [3, -3, 3]) == pytest.approx(-1)


def test_mean_error_and_accuracy_by_hand() -> None:
    assert mean_absolute_error([0.1, 0.5], [0.3, 0.5]) == pytest.approx(0.1)
    assert accuracy([1, 2, 3], [1, 2, 2]) == pytest.approx(2 / 3)
