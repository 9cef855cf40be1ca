"""Labels named as questions are (`V-reg`, `EI-reg:anger`, `E-c`), in CSV columns and JSON keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from emollm.custom import GrammarReader
from emollm.instructions import KNOWN_TASKS
from emollm.readers import NumberReader, Unreadable, Value
from emollm.tasks import Task

_BY_NAME: Final[Mapping[str, tuple[Task, str | None]]] = {
    task.key(emotion).lower(): (task, emotion)
    for task in KNOWN_TASKS.values()
    for emotion in task.emotions or (None,)
}
QUESTIONS: Final = tuple(
    task.key(emotion) for task in KNOWN_TASKS.values() for emotion in task.emotions or (None,)
)
"""Every name that a label may have."""

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""As programs write numbers."""

Scale = tuple[float, float]
"""Least and greatest value of a label on another scale than its task's."""


def question(name: str) -> tuple[Task, str | None] | None:
    """Task and emotion of a label's name, in whatever case; None where it names none."""
    return _BY_NAME.get(name.strip().lower())


def half_named(name: str) -> str | None:
    """Say that a name is a task's, and yet no question: without an emotion, or with a wrong one.

    None where it isn't.
    """
    task = name.strip().lower().partition(":")[0]
    meant = [one for one in QUESTIONS if one.lower().partition(":")[0] == task]
    if not meant or question(name) is not None:
        return None
    return f"{name!r} names a task and no question of it: must be {' or '.join(meant)}"


def value_of(label: object, task: Task, emotion: str | None) -> Value | Unreadable:
    """Read a label as it is in a file: a number, a class with or without words, a list."""
    if isinstance(label, bool) or label is None:
        return Unreadable("no label")
    if isinstance(label, list | tuple):
        label = ", ".join(map(str, label)) if label else task.write((), emotion)
    if isinstance(label, str) and task.kind != "labels" and _NUMBER.fullmatch(label.strip()):
        label = float(label)  # pandas writes 2.0 for a class and 1e-05 for a score
    if isinstance(label, float) and task.kind == "class" and label.is_integer():
        label = int(label)
    if isinstance(label, float):
        rounded = round(label, 12) + 0.0  # never -0.0
        label = f"{rounded:.12f}".rstrip("0").removesuffix(".")  # never as 1e-05
    return task.read(str(label), emotion)


def scaled_value(
    label: object, task: Task, emotion: str | None, scale: Scale | None
) -> Value | Unreadable:
    """Read a label as `value_of`; with `scale`, a score is brought from there to its task's."""
    reader = task.reader
    if scale is None or not isinstance(reader, NumberReader | GrammarReader):
        return value_of(label, task, emotion)
    low, high = scale
    try:
        number = float(str(label))
    except ValueError:
        return Unreadable("not a number")
    if not low <= number <= high:  # not a number (NaN), either
        return Unreadable(f"number outside {low:g} to {high:g}")
    unit = (number - low) / (high - low)
    return reader.minimum + unit * (reader.maximum - reader.minimum)
