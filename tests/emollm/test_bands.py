"""Classes are read off scores by one table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emollm import INTENSITY_EMOTIONS, intensity_class, valence_class
from emollm.bands import INTENSITY_BANDS, VALENCE_BANDS

scores = st.floats(0, 1)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        *[(0.0, -3), (0.228, -3), (0.229, -2), (0.38, -2), (0.381, -1), (0.427, -1), (0.428, 0)],
        *[(0.5, 0), (0.608, 0), (0.609, 1), (0.704, 2), (0.777, 2), (0.778, 3), (1.0, 3)],
    ],
)
def test_valence_classes_follow_the_bands(score: float, expected: int) -> None:
    """Each bound belongs to the class above it."""
    assert valence_class(score) == expected


@pytest.mark.parametrize(
    ("emotion", "score", "expected"),
    [
        *[("anger", 0.394, 0), ("anger", 0.395, 1), ("anger", 0.466, 2), ("anger", 0.614, 3)],
        *[("fear", 0.58, 0), ("fear", 0.581, 1), ("fear", 0.687, 2), ("fear", 0.796, 3)],
        *[("joy", 0.399, 1), ("joy", 0.538, 2), ("joy", 0.674, 2), ("joy", 0.675, 3)],
        *[("sadness", 0.419, 1), ("sadness", 0.522, 2), ("sadness", 0.686, 3), ("sadness", 1, 3)],
    ],
)
def test_intensity_classes_follow_each_emotions_bands(
    emotion: str, score: float, expected: int
) -> None:
    """Fear's classes begin higher than joy's."""
    assert intensity_class(emotion, score) == expected


@given(one=scores, other=scores)
def test_a_higher_score_never_has_a_lower_class(one: float, other: float) -> None:
    """And every class is one that the task has."""
    low, high = sorted((one, other))
    assert -3 <= valence_class(low) <= valence_class(high) <= 3
    for emotion in INTENSITY_EMOTIONS:
        assert 0 <= intensity_class(emotion, low) <= intensity_class(emotion, high) <= 3


def test_every_emotion_that_is_asked_has_bands() -> None:
    """In rising order."""
    assert set(INTENSITY_BANDS) == set(INTENSITY_EMOTIONS)
    for bounds in (VALENCE_BANDS, *INTENSITY_BANDS.values()):
        assert list(bounds) == sorted(bounds)
