"""Labels of one's own: a CSV or TSV file with a text column and a column for each question."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emollm.readers import Unreadable
from runtime.table_rows import TableRow, separator_hint, table_rows
from training.evaluation import labels
from training.evaluation.errors import DataError
from training.evaluation.files import format_of, unpacked
from training.evaluation.readings import Reading

_ID_COLUMNS = ("id", "post_id", "ID")


def read(
    path: Path,
    *,
    text_column: str = "text",
    scale: labels.Scale | None = None,
    lenient: bool = False,
) -> Iterator[Reading]:
    """Read the labels of a file; a column is named as its question, an empty cell is no label.

    With `scale`, scores are on that scale, and are brought to their task's. Where it
    is `lenient`, as to a model's answers, a cell that is no label is `Unreadable`, no error.

    Raises:
        DataError: no column of text or of labels, or a cell that is no label; names its line.
    """
    tabs = format_of(path) == ".tsv"
    with unpacked(path) as file:
        # Of a TSV only \n ends a row; a CSV's rows are found by its reader.
        lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="\n" if tabs else "")
        rows = table_rows(lines, tabs=tabs)
        try:
            header = next(rows, TableRow(1, []))
            if header.problem is not None:
                raise DataError(path, header.problem)
            _check(path, header.cells, text_column)
            for row in rows:
                if row.problem is not None:
                    raise DataError(path, row.problem, line=row.line)
                yield from row_labels(
                    dict(zip(header.cells, row.cells, strict=False)),
                    path=path,
                    line=row.line,
                    text_column=text_column,
                    scale=scale,
                    lenient=lenient,
                )
        except UnicodeDecodeError as error:
            raise DataError(path, "it isn't UTF-8") from error


def row_labels(
    row: Mapping[str, Any],
    *,
    path: Path,
    line: int,
    text_column: str = "text",
    scale: labels.Scale | None = None,
    lenient: bool = False,
) -> Iterator[Reading]:
    """Read the labels of one row, or of one JSON object.

    Raises:
        DataError: a cell is no label of its question, unless it is `lenient`.
    """
    text = row.get(text_column)
    id_ = post_id(row)
    for name, cell in row.items():
        asked = labels.question(name) if isinstance(name, str) else None
        if asked is None or cell is None or cell == "":
            continue
        task, emotion = asked
        value = labels.scaled_value(cell, task, emotion, scale)
        if isinstance(value, Unreadable) and not lenient:
            reason = value.reason
            if scale is None and reason.startswith("number outside"):
                reason += "; with --gold-scale LOW:HIGH it may be on another scale"
            raise DataError(path, f"the label in {name!r} can't be read: {reason}", line=line)
        text = text if isinstance(text, str) else ""
        yield Reading(task=task.name, emotion=emotion, value=value, id=id_, text=text)


def post_id(row: Mapping[str, Any]) -> str:
    """Give the post's id; empty where the row, or JSON object, has none."""
    found = (row.get(name) for name in _ID_COLUMNS)
    return next((str(one) for one in found if one not in (None, "")), "")


def _check(path: Path, names: Sequence[str], text_column: str) -> None:
    columns: dict[object, str] = {}
    for name in names:
        key = labels.question(name) or name
        if name and key in columns:
            raise DataError(path, f"it has the column {name!r} twice: rename one of them")
        columns[key] = name
    for name in names:
        if (half := labels.half_named(name)) is not None:
            raise DataError(path, f"the column {half}")
    known = [name for name in names if labels.question(name)]
    if not known:
        fix = separator_hint(names) or f"one of {', '.join(labels.QUESTIONS)}"
        raise DataError(path, f"no column is named as a question: {fix}")
    if text_column not in names and not set(_ID_COLUMNS) & set(names):
        raise DataError(path, f"no column {text_column!r}: name the text's with --text-column")
