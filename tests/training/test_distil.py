"""What a teacher said, kept and turned into questions."""

from collections import Counter
from pathlib import Path

import pytest

from emollm.bands import intensity_class, valence_class
from training import distil, vocabulary
from training.distil import Reading

PROBABILITIES = tuple(
    0.9 if label == "joy" else 0.0 for label in vocabulary.LABELS
)  # the other emotions of intensity aren't in it
TWEET = Reading("a 😀 b", (0.1, 0.2, 0.9, 1.3), -0.1, PROBABILITIES)
TEXT = Reading("c\u2028d", (0.1, 0.2, 0.3, 0.4), 0.7, PROBABILITIES, tweet=False)


def test_readings_are_kept_as_they_are(tmp_path: Path) -> None:
    distil.write([TWEET, TEXT], tmp_path / "readings.jsonl")
    assert distil.read(tmp_path / "readings.jsonl") == [TWEET, TEXT]
    assert [path.name for path in tmp_path.iterdir()] == ["readings.jsonl"]


def test_a_tweet_is_asked_about_for_two_emotions_its_valence_and_its_labels() -> None:
    one, other, valence, labels = distil.examples([TWEET], 1)
    assert one.emotion != other.emotion
    for example in (one, other):
        score = min(1.0, TWEET.intensities[vocabulary.EMOTIONS.index(example.emotion)])
        assert example.task in {"EI-reg", "EI-oc"}
        assert example.score == score
        assert example.level == intensity_class(example.emotion, score)
    assert valence.task in {"V-reg", "V-oc"}
    assert (valence.score, valence.level) == (0.0, valence_class(0.0))
    assert (labels.task, labels.labels, labels.probabilities) == ("E-c", (), PROBABILITIES)


def test_another_text_is_asked_about_its_valence_and_its_labels() -> None:
    valence, labels = distil.examples([TEXT], 1)
    assert (valence.task, valence.score) == ("V-reg", 0.7)
    assert labels.task == "E-c"
    assert not valence.tweet
    assert not labels.tweet


def test_the_emotions_that_the_teacher_finds_are_asked_about_most() -> None:
    """And the others at times; both kinds of questions occur."""
    asked = distil.examples([TWEET] * 400, 1)
    emotions = Counter(one.emotion for one in asked if one.emotion)
    assert emotions["joy"] == max(emotions.values())
    assert set(emotions) == set(vocabulary.EMOTIONS)
    tasks = Counter(one.task for one in asked)
    assert tasks["EI-reg"] == pytest.approx(tasks["EI-oc"], rel=0.3)
    assert tasks["V-reg"] == pytest.approx(tasks["V-oc"], rel=0.3)
