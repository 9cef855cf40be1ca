"""Valence on other scales, asked as the paper asks for it: from 0 to 1, and mapped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from emollm.readers import Unreadable, Value
from emollm.tasks import V_REG, Task
from emollm.wordings import WORDINGS

UNIT_SCALES: Final[Mapping[str, tuple[float, float]]] = {
    "V-T": (-4.0, 4.0),
    "Emobank-valence": (1.0, 5.0),
    "SST": (0.0, 1.0),
}
"""Sets of valence scores to their scale, least and greatest value."""

UNIT_TASK: Final = Task(
    name=V_REG.name,
    wordings=tuple(wording.replace("tweet", "text") for wording in V_REG.wordings),
    layout=WORDINGS["V-T"].layout,
    reader=V_REG.reader,
    max_new_tokens=V_REG.max_new_tokens,
)
"""V-reg for texts that needn't be tweets."""


def mapped(score: Value | Unreadable | None, task: str) -> Value | Unreadable | None:
    """Map a score from 0..1 to the scale of a set; what is no score stays as it is."""
    if not isinstance(score, float | int):
        return score
    low, high = UNIT_SCALES[task]
    return low + score * (high - low)
