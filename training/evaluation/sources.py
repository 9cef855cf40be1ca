"""A path to its labels or predictions, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from emollm.readers import Unreadable
from training.evaluation import labels, lines, semeval, tables
from training.evaluation.errors import DataError
from training.evaluation.files import format_of
from training.evaluation.readings import Predictions, Reading

_JSON: Final = (".jsonl", ".json")
_TABLES: Final = (".csv", ".tsv")
Note = Callable[[str], None]
"""Told what a person might want to know."""


def silent(_: str) -> None:
    """Nobody is told."""


def gold(
    path: Path,
    *,
    part: str | None = None,
    text_column: str = "text",
    scale: labels.Scale | None = None,
    note: Note = silent,
) -> list[Reading]:
    """Read gold labels: a SemEval-2018 folder or file, JSON lines, a CSV or TSV of one's own.

    Args:
        path: Where they are.
        part: `train`, `dev` or `test` of a folder that has several.
        text_column: Column or key of the text, in files of one's own.
        scale: What scores are on, where that isn't the task's scale.
        note: Told, in a sentence, which file of a folder repeats another: it counts once.

    Raises:
        DataError: the file can't be read, or says nothing; two files of a folder contradict each
            other.
    """
    _check(path)
    if path.is_dir() or semeval.is_semeval(path):
        found = _semeval(path, part, note)
        for one in found:
            if isinstance(one.value, Unreadable):
                label = f"the gold label of {one.task} of the post {one.id!r}"
                raise DataError(path, f"{label} can't be read: {one.value.reason}")
    elif format_of(path) in _TABLES:
        found = list(tables.read(path, text_column=text_column, scale=scale))
    elif _is_json(path):
        found = list(lines.gold(path, text_column=text_column, scale=scale))
    else:
        raise _unknown(path)
    if not found:
        raise DataError(path, "it holds no labels")
    return found


def predictions(
    paths: Sequence[Path],
    *,
    part: str | None = None,
    text_column: str = "text",
    note: Note = silent,
) -> Predictions:
    """Read predictions already made, by model; of a file without models by its name.

    By its path, where several have one name.

    SemEval submissions, `emostream predict`'s lines, events, EmoLLMs' lines with `pred`, CSV. Of a
    folder with several parts and no files `…_pred.txt` those of `part` are read. `note` as `gold`.

    Raises:
        DataError: a file can't be read, or holds no predictions; two contradict each other.
    """
    found: Predictions = {}
    first: dict[tuple[str, str, str], tuple[Path, object]] = {}
    for path in paths:
        _check(path)
        alike = {other for other in paths if other.name == path.name}
        name = path.name if len(alike) == 1 else str(path)
        if path.is_dir() or semeval.is_semeval(path):
            mine = {name: _semeval(path, part, note, submission=True)}
        elif format_of(path) in _TABLES:
            mine = {name: list(tables.read(path, text_column=text_column, lenient=True))}
        elif _is_json(path):
            mine = lines.predictions(path, text_column=text_column, name=name)
        else:
            raise _unknown(path)
        if not any(mine.values()):
            raise DataError(path, "it holds no predictions")
        for model, readings in mine.items():
            for one in readings:
                key = (model, one.question, one.id or one.text)
                earlier, value = first.setdefault(key, (path, one.value))
                if earlier != path and value != one.value:
                    raise DataError(
                        path,
                        f"{earlier} has another {one.question} of {model} for the post"
                        f" {one.id or '(without an id)'}: score the two on their own",
                    )
            found.setdefault(model, []).extend(readings)
    return found


def own_predictions(path: Path) -> Predictions:
    """Read the predictions that lie beside the gold labels of JSON lines; empty where none do.

    Raises:
        DataError: a line can't be read.
    """
    return lines.predictions(path) if path.is_file() and _is_json(path) else {}


def holds_events(path: Path) -> bool:
    """Whether the first line is an affect event, which has no gold label.

    Raises:
        DataError: it is no JSON object.
    """
    if not path.is_file() or not _is_json(path):
        return False
    first = next(lines.objects(path), None)
    return first is not None and lines.is_event(first[1])


def _semeval(
    path: Path, part: str | None, note: Note, *, submission: bool = False
) -> list[Reading]:
    """The readings of a file or a folder, where archives leave copies: each post counts once."""
    files = semeval.files(path, part, submission=submission) if path.is_dir() else [path]
    found: list[Reading] = []
    first: dict[tuple[str, str], tuple[Path, Reading]] = {}
    repeated: dict[Path, Path] = {}
    for file in files:
        for one in semeval.read(file):
            earlier, other = first.setdefault((one.question, one.id), (file, one))
            if earlier == file:
                found.append(one)
            elif one == other:
                repeated[file] = earlier
            else:
                raise DataError(
                    path,
                    f"{earlier.relative_to(path)} and {file.relative_to(path)} differ in {one.task}"
                    f" of the post {one.id!r}: remove one of them, or name a folder below",
                )
    for file, earlier in repeated.items():
        note(f"{file.relative_to(path)} repeats {earlier.relative_to(path)}: it counts once")
    return found


def _is_json(path: Path) -> bool:
    found = format_of(path)
    return found in _JSON or (found not in _TABLES and path.suffix.lower() == ".gz")


def _check(path: Path) -> None:
    if not path.exists():
        raise DataError(path, "it doesn't exist")


def _unknown(path: Path) -> DataError:
    return DataError(
        path,
        "of a format that isn't known: a folder or file of SemEval-2018 task 1, .jsonl, .csv"
        " or .tsv, with or without .gz",
    )
