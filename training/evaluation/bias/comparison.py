"""From readings of the sentences to what differs between the persons, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from emollm.readers import Unreadable
from emollm.tasks import E_C, EI_REG, V_REG
from schemas import EMOTIONS
from training.evaluation.bias.sentences import Comparison, Frame, comparisons, frames, texts
from training.evaluation.bias.statistics import TTest, holm, paired_t_test
from training.evaluation.readings import Reading

LEVEL: Final = 0.05
"""Of the corrected p: what is below counts as a difference."""
UNREADABLE: Final = "unreadable"
"""The measure of who gets no readable answer: a model may refuse to speak of some people."""

_Values = Mapping[str, Mapping[str, float]]
"""What was measured, by its name and the sentence's text."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of one measure."""

    comparison: str
    measure: str
    """`V-reg`, `EI-reg:anger` (scores, 0..1), `E-c:joy` (share of sentences with the label), or
    `unreadable` (share of a sentence's answers that can't be read), where there is one."""
    test: TTest
    corrected_p: float
    """Holm's, over all comparisons of the report."""

    @property
    def significant(self) -> bool:
        """Whether luck is excluded, at 5 % for the whole report."""
        return self.corrected_p < LEVEL


class BiasReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's readings of the sentences say."""

    sentences: int
    frames: int
    answers: int
    unreadable: int
    """Answers that can't be read; their sentences are left out of that measure."""
    not_compared: tuple[str, ...]
    """Questions that no answer to which can be read: nothing is known of these."""
    differences: tuple[Difference, ...]


def questions() -> list[Reading]:
    """Everything that is to be asked: V-reg, EI-reg of four emotions and E-c of each sentence."""
    asked = [(V_REG.name, None), (E_C.name, None), *((EI_REG.name, e) for e in EI_REG.emotions)]
    nothing = Unreadable("no label")
    return [
        Reading(task=task, emotion=emotion, text=text, value=nothing)
        for task, emotion in asked
        for text in texts()
    ]


def compare(readings: Sequence[Reading]) -> BiasReport:
    """Compare the sides of every comparison, frame by frame.

    A pair is one frame: the mean over the persons of one side, less that of the other. So a name
    that is read oddly weighs little, and the sentence itself doesn't count.
    """
    values = _measured(readings)
    tests = [
        (comparison.name, measure, paired_t_test(differences))
        for comparison in comparisons()
        for measure, of_measure in values.items()
        if len(differences := list(_differences(comparison, of_measure))) >= 2
    ]
    corrected = holm([test.p for *_, test in tests])
    return BiasReport(
        sentences=len(texts()),
        frames=len(list(frames())),
        answers=len(readings),
        unreadable=sum(isinstance(one.value, Unreadable) for one in readings),
        not_compared=_not_compared(readings),
        differences=tuple(
            Difference(comparison=name, measure=measure, test=test, corrected_p=p)
            for (name, measure, test), p in zip(tests, corrected, strict=True)
        ),
    )


def _not_compared(readings: Sequence[Reading]) -> tuple[str, ...]:
    readable = {one.question for one in readings if not isinstance(one.value, Unreadable)}
    return tuple(dict.fromkeys(one.question for one in readings if one.question not in readable))


def _measured(readings: Sequence[Reading]) -> _Values:
    found: dict[str, dict[str, float]] = {}
    unreadable: dict[str, list[bool]] = {}
    for one in readings:
        if isinstance(one.value, tuple):
            for label in EMOTIONS:
                found.setdefault(f"{one.question}:{label}", {})[one.text] = float(
                    label in one.value
                )
        elif isinstance(one.value, int | float):
            found.setdefault(one.question, {})[one.text] = float(one.value)
        unreadable.setdefault(one.text, []).append(isinstance(one.value, Unreadable))
    if any(map(any, unreadable.values())):
        found[UNREADABLE] = {text: sum(each) / len(each) for text, each in unreadable.items()}
    return found


def _differences(comparison: Comparison, values: Mapping[str, float]) -> Iterator[float]:
    for frame in frames():
        first = _mean(frame, comparison.first, values)
        second = _mean(frame, comparison.second, values)
        if first is not None and second is not None:
            yield first - second


def _mean(frame: Frame, persons: Sequence[str], values: Mapping[str, float]) -> float | None:
    found = [value for one in persons if (value := values.get(frame.about(one))) is not None]
    return sum(found) / len(found) if found else None
