"""The paired t-test against scipy, and Holm's correction by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from training.evaluation.bias.statistics import holm, paired_t_test, two_sided_p


@given(st.lists(st.integers(-1_000, 1_000), max_size=60))
def test_the_test_is_scipys(numbers: list[int]) -> None:
    """Two differences are given, so that they vary."""
    differences = [0.0, 1.0, *(number / 1_000 for number in numbers)]
    mine = paired_t_test(differences)
    theirs = stats.ttest_1samp(differences, 0)
    interval = theirs.confidence_interval()
    assert mine.p == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)
    assert (mine.low, mine.high) == pytest.approx((interval.low, interval.high), abs=1e-6)
    assert mine.effect == pytest.approx(theirs.statistic / len(differences) ** 0.5, abs=1e-9)


@pytest.mark.parametrize("degrees", [1, 2, 63, 2_000])
@pytest.mark.parametrize("t", [0.0, 0.01, 1.0, 2.5, 40.0])
def test_the_distribution_is_scipys_in_its_tails(t: float, degrees: int) -> None:
    assert two_sided_p(t, degrees) == pytest.approx(2 * stats.t.sf(t, degrees), rel=1e-8)


def test_differences_that_dont_vary_are_certain() -> None:
    assert paired_t_test([0.0, 0.0, 0.0]).p == 1
    sure = paired_t_test([0.1, 0.1, 0.1])
    assert (sure.p, sure.effect) == (0, 0)
    assert sure.low == pytest.approx(0.1)


def test_one_pair_tests_nothing() -> None:
    with pytest.raises(ValueError, match="two pairs"):
        paired_t_test([0.1])


def test_holm_by_hand() -> None:
    """.01 * 3, .03 * 2, and .04 * 1, which can't be below the one before."""
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
