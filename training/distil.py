"""Distillation: what a teacher says of texts that nobody rated, as the small model's examples.

The teacher (`training.teacher`) reads each text once, for all tasks. Its scores are learnt as
people's are, as a Gaussian over the hundredths; of E-c it gives each label's probability, and the
small model learns at every step of an answer with what it goes on (`targets.label_targets`), not
the likeliest answer alone: what is likely beside it is the lesson (Hinton et al., 2015). Others
call such answers pseudo-labels.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from emollm.bands import intensity_class, valence_class
from training import vocabulary
from training.data import Example

_LEAST_WEIGHT: Final = 0.15
"""An emotion that the teacher doesn't find at all is asked about, too, but seldom."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the teacher says of one text.

    `intensities` are those of `vocabulary.EMOTIONS` and `valence` the tweet's, about 0 to 1;
    `probabilities` are those of `vocabulary.LABELS`. `tweet` is whether the text is one.
    """

    text: str
    intensities: tuple[float, ...]
    valence: float
    probabilities: tuple[float, ...]
    tweet: bool = True


def write(readings: Iterable[Reading], path: Path) -> None:
    """Keep them as JSON lines; whole or not at all."""
    partly = path.with_suffix(".partial")
    with partly.open("w", encoding="utf-8") as lines:
        for reading in readings:
            lines.write(json.dumps(asdict(reading), ensure_ascii=False) + "\n")
    partly.rename(path)


def read(path: Path) -> list[Reading]:
    """What `write` has kept."""
    return [
        Reading(
            row["text"],
            tuple(row["intensities"]),
            row["valence"],
            tuple(row["probabilities"]),
            row["tweet"],
        )
        for row in map(json.loads, path.read_bytes().splitlines())
    ]


def examples(readings: Sequence[Reading], seed: int) -> list[Example]:
    """Four questions about each tweet, two about each other text; `seed` draws which.

    A tweet's intensity is asked for two emotions, rather for those that the teacher finds in it.
    Half of the questions about a tweet's intensity and valence are for the class.
    """
    draw = random.Random(seed)  # noqa: S311  no secret hangs on it
    found = []
    for one in readings:
        if one.tweet:
            for place in _two_emotions(one.probabilities, draw):
                emotion, score = vocabulary.EMOTIONS[place], _kept_in(one.intensities[place])
                level = intensity_class(emotion, score)
                task = draw.choice(("EI-reg", "EI-oc"))
                found.append(Example(task, one.text, emotion, score, level))
        valence = _kept_in(one.valence)
        task = draw.choice(("V-reg", "V-oc")) if one.tweet else "V-reg"
        level = valence_class(valence)
        found.append(Example(task, one.text, "", valence, level, tweet=one.tweet))
        found.append(Example("E-c", one.text, probabilities=one.probabilities, tweet=one.tweet))
    return found


def _two_emotions(probabilities: Sequence[float], draw: random.Random) -> list[int]:
    """The places of two different emotions of intensity, the likelier ones more often."""
    weights = [
        _LEAST_WEIGHT + probabilities[vocabulary.LABELS.index(emotion)]
        for emotion in vocabulary.EMOTIONS
    ]
    keys = [draw.random() ** (1.0 / weight) for weight in weights]
    return sorted(range(len(keys)), key=lambda place: -keys[place])[:2]


def _kept_in(score: float) -> float:
    return min(1.0, max(0.0, score))
