"""The ten wordings of each task, from where the prompts are kept."""

from __future__ import annotations

from emollm.wordings import WORDINGS
from training import vocabulary


def load() -> dict[str, tuple[str, ...]]:
    """The wordings of the five tasks that the small model answers."""
    return {task: WORDINGS[task].wordings for task in vocabulary.TASKS}
