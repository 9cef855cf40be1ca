"""How answers to the benchmark's prompts are scored while the small model is made."""

import pytest

from training.ask import Question, score


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
