"""What the small model learns to answer, in numbers."""

import numpy as np
import pytest

from emollm.bands import intensity_class, valence_class
from training import vocabulary
from training.targets import class_target, number_target


@pytest.mark.parametrize("score", [0.0, 0.25, 0.733, 1.0])
def test_a_numbers_target_is_a_peak_at_the_score(score: float) -> None:
    target = number_target(score)
    assert target.sum() == pytest.approx(1)
    assert int(target.argmax()) == round(score * 100)
    assert len(target) == len(vocabulary.NUMBERS)


def test_a_rough_score_has_a_wider_target() -> None:
    """The peak stays, and is lower."""
    sharp, rough = number_target(0.25), number_target(0.25, spread=0.12)
    assert int(rough.argmax()) == 25
    assert rough.max() < 0.7 * sharp.max()


@pytest.mark.parametrize("emotion", vocabulary.EMOTIONS)
def test_a_class_target_has_its_mass_where_the_score_is(emotion: str) -> None:
    """In the middle of the lowest and the highest band the class itself is the likeliest."""
    for score in (0.1, 0.95):
        target = class_target(score, emotion)
        assert target.sum() == pytest.approx(1)
        assert int(target.argmax()) == intensity_class(emotion, score)


def test_valence_has_seven_classes_and_neighbours_are_likelier() -> None:
    target = class_target(0.52, "")
    assert len(target) == 7
    assert int(target.argmax()) - 3 == valence_class(0.52)
    assert np.all(np.diff(target[:4]) > 0)
    assert np.all(np.diff(target[3:]) < 0)
