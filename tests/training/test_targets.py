"""What the small model learns to answer, in numbers."""

import numpy as np
import pytest

from emollm.bands import intensity_class, valence_class
from training import vocabulary
from training.data import Example
from training.targets import Encoder, class_target, label_targets, number_target


@pytest.mark.parametrize("score", [0.0, 0.25, 0.733, 1.0])
def test_a_numbers_target_is_a_peak_at_the_score(score: float) -> None:
    target = number_target(score)
    assert target.sum() == pytest.approx(1)
    assert int(np.argmax(target)) == round(score * 100)
    assert len(target) == len(vocabulary.NUMBERS)


def test_a_rough_score_has_a_wider_target() -> None:
    """The peak stays, and is lower."""
    sharp, rough = number_target(0.25), number_target(0.25, spread=0.12)
    assert int(np.argmax(rough)) == 25
    assert np.max(rough) < 0.7 * np.max(sharp)


@pytest.mark.parametrize("emotion", vocabulary.EMOTIONS)
def test_a_class_target_has_its_mass_where_the_score_is(emotion: str) -> None:
    """In the middle of the lowest and the highest band the class itself is the likeliest."""
    for score in (0.1, 0.95):
        target = class_target(score, emotion)
        assert target.sum() == pytest.approx(1)
        assert int(np.argmax(target)) == intensity_class(emotion, score)


def test_valence_has_seven_classes_and_neighbours_are_likelier() -> None:
    target = class_target(0.52, "")
    assert len(target) == 7
    assert int(np.argmax(target)) - 3 == valence_class(0.52)
    assert np.all(np.diff(target[:4]) > 0)
    assert np.all(np.diff(target[3:]) < 0)


def test_an_answer_goes_on_with_the_first_label_that_applies() -> None:
    """Each independently of the others; what none of them takes is the end's."""
    rows = label_targets([0.5, 0.2, 0.9], [0, 2])
    assert rows == pytest.approx(
        np.array(
            [
                [0.5, 0.5 * 0.2, 0.5 * 0.8 * 0.9, 0.5 * 0.8 * 0.1],
                [0.0, 0.2, 0.8 * 0.9, 0.8 * 0.1],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
    )


def test_a_taught_answer_lists_the_likely_labels(encoder: Encoder) -> None:
    """And is learnt with what else the teacher found likely: of its first label, and of its end."""
    probabilities = [0.0] * len(vocabulary.LABELS)
    probabilities[vocabulary.LABELS.index("anger")] = 0.3
    probabilities[vocabulary.LABELS.index("joy")] = 0.8
    (item,) = encoder.items([Example("E-c", "a b", probabilities=tuple(probabilities))], 0)
    joy, stop, neutral, anger = (
        vocabulary.ANSWERS.index(answer)
        for answer in (", joy", vocabulary.FULL_STOP, vocabulary.NEUTRAL, ", anger")
    )
    assert item.answer == [joy, stop, encoder.end]
    assert item.target.sum(1) == pytest.approx(1)
    assert item.target[0, [anger, joy, neutral]] == pytest.approx([0.3, 0.56, 0.14])
    assert item.target[1, stop] == 1
    assert item.target[2, encoder.end] == 1


def test_a_taught_answer_without_a_likely_label_is_neutral(encoder: Encoder) -> None:
    probabilities = (0.1,) * len(vocabulary.LABELS)
    (item,) = encoder.items([Example("E-c", "a b", probabilities=probabilities)], 0)
    neutral = vocabulary.ANSWERS.index(vocabulary.NEUTRAL)
    assert item.answer == [neutral, encoder.end]
    assert item.target[0, neutral] == pytest.approx(0.9 ** len(vocabulary.LABELS))
