"""Ordinal classes read off scores: the one table of class bands.

In SemEval-2018's gold labels each ordinal class is an exact band of the score: in the training
sets no two bands overlap. The bounds are the midpoints between neighbouring bands. Reading a class
off the model's own score agrees with the gold class as well as asking for it does (Pearson on the
same items, asked → derived: V-oc .843 → .844, .830 → .842, .857 → .853, .843 → .857, .821 → .827
for five EmoLLMs; EI-oc likewise), and saves five of eleven prompts.
"""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

VALENCE_BANDS: Final = (0.229, 0.381, 0.428, 0.609, 0.704, 0.778)
"""Lower bounds (included) of the valence classes -2 to 3 on V-reg's score."""

INTENSITY_BANDS: Final[Mapping[str, tuple[float, float, float]]] = {
    "anger": (0.395, 0.466, 0.614),
    "fear": (0.581, 0.687, 0.796),
    "joy": (0.399, 0.538, 0.675),
    "sadness": (0.419, 0.522, 0.686),
}
"""Emotion → lower bounds (included) of the intensity classes 1 to 3 on EI-reg's score."""


def valence_class(score: float) -> int:
    """Class -3 to 3 of a valence score 0 to 1 (V-reg → V-oc)."""
    return bisect_right(VALENCE_BANDS, score) - 3


def intensity_class(emotion: str, score: float) -> int:
    """Class 0 to 3 of an intensity score 0 to 1 (EI-reg → EI-oc).

    Raises KeyError for an emotion without bands.
    """
    return bisect_right(INTENSITY_BANDS[emotion], score)
