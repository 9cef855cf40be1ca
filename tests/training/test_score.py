"""The benchmark's formulas, against values computed by hand."""

import math

import pytest

from training.ask import Question, score
from training.score import f1, jaccard, pearson


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


def test_emotions_count_alike_and_an_unreadable_answer_is_the_middle() -> None:
    questions = [
        Question("EI-reg", emotion, "", gold)
        for emotion, golds in (("anger", (0.2, 0.5, 0.8)), ("joy", (0.2, 0.5, 0.8)))
        for gold in golds
    ]
    found = score(questions, ["0.1", "48: disgust", "0.9", "0.9", "0.5", "0.1"])
    assert found["EI-reg"] == pytest.approx(0)  # 1 for anger, -1 for joy
    assert found["unreadable"] == pytest.approx(1 / 6)


def test_labels_are_scored_as_sets() -> None:
    questions = [Question("E-c", "", "", ("joy", "love")), Question("E-c", "", "", ())]
    found = score(questions, ["love, joy.", "neutral or no emotion."])
    assert found["E-c"] == 1
    assert found["E-c micro-F1"] == 1
