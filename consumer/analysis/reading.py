"""From the answers about one post to what its event says, or to why it can't say anything."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from consumer.analysis.case import Answer
from consumer.analysis.plan import Plan, Question
from emollm.bands import intensity_class, valence_class
from emollm.errors import Poison
from emollm.readers import Unreadable
from emollm.tasks import E_C, EI_OC, EI_REG, V_OC, V_REG
from schemas import INTENSITY_EMOTIONS, Sentiment

_DERIVED_CLASS = {emotion: f"intensity_class.{emotion}" for emotion in INTENSITY_EMOTIONS}


class Findings(msgspec.Struct):
    """What was found in one post. Unset means not asked, or unanswered."""

    valence: float | UnsetType = UNSET
    valence_class: int | UnsetType = UNSET
    emotions: tuple[str, ...] | UnsetType = UNSET
    intensity: dict[str, float] | UnsetType = UNSET
    intensity_class: dict[str, int] | UnsetType = UNSET
    custom: dict[str, Any] | UnsetType = UNSET
    derived: list[str] = []
    unanswered: dict[str, str] = {}
    refusal: Poison | None = None
    """The last refusal of a server, where there was one."""
    refused: int = 0
    answered: int = 0

    @property
    def sentiment(self) -> Sentiment | UnsetType:
        """Valence and its class as the event holds them."""
        if self.valence is UNSET and self.valence_class is UNSET:
            return UNSET
        return Sentiment(valence=self.valence, class_=self.valence_class)


def read(plan: Plan, answers: Iterable[tuple[Question, Answer]]) -> Findings:
    """Sort one post's answers into its findings, and derive what the plan derives."""
    found = Findings()
    for question, answer in answers:
        if isinstance(answer, Unreadable):
            found.unanswered[question.name] = answer.reason
        elif isinstance(answer, Poison):
            found.unanswered[question.name] = f"refused by the model server: {answer}"
            found.refused += 1
            found.refusal = answer
        else:
            found.answered += 1
            _put(found, question, answer)
    _derive(plan, found)
    return found


def _put(found: Findings, question: Question, answer: Any) -> None:
    task = question.task
    if task is V_REG:
        found.valence = answer
    elif task is E_C:
        found.emotions = answer
    elif task is EI_REG:
        assert question.emotion is not None
        if found.intensity is UNSET:
            found.intensity = {}
        found.intensity[question.emotion] = answer
    elif task is V_OC:
        found.valence_class = answer
    elif task is EI_OC:
        assert question.emotion is not None
        if found.intensity_class is UNSET:
            found.intensity_class = {}
        found.intensity_class[question.emotion] = answer
    else:
        if found.custom is UNSET:
            found.custom = {}
        if question.emotion is None:
            found.custom[task.name] = answer
        else:
            found.custom.setdefault(task.name, {})[question.emotion] = answer


def _derive(plan: Plan, found: Findings) -> None:
    if plan.derive_valence_class and found.valence is not UNSET:
        found.valence_class = valence_class(found.valence)
        found.derived.append("sentiment.class")
    if plan.derive_intensity_class and found.intensity is not UNSET:
        found.intensity_class = {}
        for emotion, score in found.intensity.items():
            found.intensity_class[emotion] = intensity_class(emotion, score)
            found.derived.append(_DERIVED_CLASS[emotion])
