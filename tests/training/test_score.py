"""How answers to the benchmark's prompts are scored while the small model is made."""

from pathlib import Path

import pytest

from training.ask import SNIPPETS, Question, score, snippets


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


def test_rated_snippets_are_asked_for_their_valence(tmp_path: Path) -> None:
    """By kind, as tweets are asked, with the rating as it is: correlation knows no scale."""
    (tmp_path / "vader").mkdir()
    for name in SNIPPETS.values():
        lines = "1_1\t-2.5\tIt broke.\r\n1_2\t3.1\tFine, and it\tlasts.\r\n"
        (tmp_path / "vader" / f"{name}_GroundTruth.txt").write_text(lines, newline="")
    found = snippets(tmp_path)
    assert list(found) == ["products", "films", "editorials"]
    broken, fine = found["films"]
    assert (broken.gold, fine.gold) == (-2.5, 3.1)
    assert "Tweet: It broke. Intensity Score: " in broken.prompt
    assert "it\tlasts." in fine.prompt
    assert score(found["films"], ["0.1", "0.9"])["V-reg"] == pytest.approx(1)
