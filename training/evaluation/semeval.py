"""SemEval-2018 task 1's files: tab-separated, one header row, quotes are text.

Gold files and submissions have the same shape, so both are read here. The organisers' names are
known in their variants: `EI-reg-En-anger-dev.txt`, `2018-Valence-oc-En-test-gold.txt`,
`EI-oc_en_fear_pred.txt`, `E-C_en_pred.txt`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emollm.instructions import KNOWN_TASKS
from emollm.readers import Unreadable
from schemas import EMOTIONS, INTENSITY_EMOTIONS
from training.evaluation.errors import DataError
from training.evaluation.files import unpacked
from training.evaluation.readings import Reading

_NAME: Final = re.compile(
    r"(?:2018-)?(?P<task>EI-reg|EI-oc|V(?:alence)?-reg|V(?:alence)?-oc|E-c)[-_]En"
    rf"(?:[-_](?P<emotion>{'|'.join(INTENSITY_EMOTIONS)}))?[-_](?P<part>train|dev|test|pred)"
    r"(?:-gold)?\.(?:txt|tsv)(?:\.gz)?",
    re.IGNORECASE,
)
_TASKS: Final = {
    "ei-reg": "EI-reg",
    "ei-oc": "EI-oc",
    "valence-reg": "V-reg",
    "v-reg": "V-reg",
    "valence-oc": "V-oc",
    "v-oc": "V-oc",
    "e-c": "E-c",
}
_PREDICTED: Final = "pred"
_MYSTERY: Final = "mystery"
"""In the ids of 16,937 sentences without gold labels that the EI-reg and V-reg test files have."""


def is_semeval(path: Path) -> bool:
    """Whether a file is named as one of the task's English files."""
    return _NAME.fullmatch(path.name) is not None


def files(folder: Path, part: str | None, *, submission: bool = False) -> list[Path]:
    """Return the English files of a part in a folder and below; of the only part where None.

    Of a submission, the files named `…_pred.txt` where there are any: what lies beside them may be
    the gold labels.

    Raises:
        DataError: there are none, or there are several parts and none was named.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        name = _NAME.fullmatch(path.name)
        if name is not None and path.is_file():
            found.setdefault(name["part"].lower(), []).append(path)
    if not found:
        raise DataError(
            folder, "no English file of SemEval-2018 task 1, as `EI-reg-En-anger-dev.txt`"
        )
    if submission and _PREDICTED in found:
        return found[_PREDICTED]
    if part is None and len(found) > 1:
        raise DataError(folder, f"it has {', '.join(sorted(found))}: choose one with --part")
    chosen = part if part is not None else next(iter(found))
    if chosen not in found:
        raise DataError(folder, f"it has no {chosen}, but {', '.join(sorted(found))}")
    return found[chosen]


def read(path: Path) -> Iterator[Reading]:
    """Read the labels, or a submission's predictions, of one file, gzipped or not.

    What is no value of the task is `Unreadable`: submissions hold such. A `NONE` label of a
    test file without gold labels is left out.

    Raises:
        DataError: a row has too few columns, or the file can't be read or isn't UTF-8.
    """
    name = _NAME.fullmatch(path.name)
    assert name is not None
    task = KNOWN_TASKS[_TASKS[name["task"].lower()]]
    for number, cells in _rows(path):
        if len(cells) < (13 if task.name == "E-c" else 4):
            raise DataError(path, "too few columns", line=number)
        if _MYSTERY in cells[0] or cells[-1] == "NONE":
            continue
        if task.name == "E-c":
            yield Reading(task="E-c", id=cells[0], text=cells[1], value=_flags(cells[2:13]))
            continue
        emotion = name["emotion"].lower() if name["emotion"] else None
        if task.takes_emotion and emotion is None:
            emotion = cells[2].lower()
        if task.takes_emotion and emotion not in task.emotions:
            raise DataError(path, f"{cells[2]!r} is no emotion of {task.name}", line=number)
        value = task.read(cells[3], emotion)
        yield Reading(task=task.name, emotion=emotion, id=cells[0], text=cells[1], value=value)


def _flags(cells: list[str]) -> tuple[str, ...] | Unreadable:
    if not set(cells) <= {"0", "1"}:
        return Unreadable("not a row of 0 and 1")
    return tuple(label for label, cell in zip(EMOTIONS, cells, strict=True) if cell == "1")


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with their line numbers, without the header and blank lines."""
    with unpacked(path) as file:
        lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="\n")
        try:
            for number, line in enumerate(lines, start=1):
                if number > 1 and line.strip():
                    yield number, line.rstrip("\r\n").split("\t")
        except UnicodeDecodeError as error:
            raise DataError(path, "it isn't UTF-8") from error
