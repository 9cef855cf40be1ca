"""The correlation of two models tells a domain that the second doesn't know, and says so calmly."""

import random

import pytest

from consumer.analysis.agreement import LEAST_POSTS, POSTS, Agreement, correlation
from training.evaluation.metrics import pearson


def pairs(r: float, count: int, seed: int = 1) -> list[tuple[float, float]]:
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        x = draw.gauss(0, 1)
        found.append((x, r * x + (1 - r * r) ** 0.5 * draw.gauss(0, 1)))
    return found


def judged(agreement: Agreement, values: list[tuple[float, float]]) -> bool:
    for first, second in values:
        agreement.add(first, second)
    agreement.judge()
    return agreement.foreign


def test_it_is_pearsons_coefficient() -> None:
    values = pairs(0.6, 300)
    xs, ys = [x for x, _ in values], [y for _, y in values]
    assert correlation(values) == pytest.approx(pearson(xs, ys))
    assert correlation([(0.5, y) for y in ys]) is None
    assert correlation([]) is None


def test_a_few_posts_say_nothing() -> None:
    agreement = Agreement()
    assert not judged(agreement, pairs(0.1, LEAST_POSTS - 1))
    assert agreement.correlation() is None


@pytest.mark.parametrize(("r", "foreign"), [(0.87, False), (0.65, True), (0.0, True)])
def test_tweets_are_known_and_reviews_are_not(r: float, foreign: bool) -> None:
    assert judged(Agreement(), pairs(r, POSTS)) is foreign


def test_only_the_last_posts_count_and_between_the_bounds_nothing_changes() -> None:
    agreement = Agreement()
    between = pairs(0.805, POSTS, seed=3)
    assert 0.77 < (correlation(between) or 0) < 0.80
    assert not judged(agreement, between)
    assert judged(agreement, pairs(0.6, POSTS))
    assert judged(agreement, between)
    assert not judged(agreement, pairs(0.88, POSTS))


@pytest.mark.parametrize("broken", ["first", "second"])
def test_a_model_that_says_the_same_of_every_post_is_named_and_the_posts_are_not_blamed(
    broken: str,
) -> None:
    agreement = Agreement()
    varied = pairs(0.88, POSTS)
    same = [(0.5, y) if broken == "first" else (x, 0.5) for x, y in varied]
    assert not judged(agreement, same)
    assert agreement.constant == broken
    assert agreement.correlation() == 0.0
    assert not judged(agreement, varied)
    assert agreement.constant is None
