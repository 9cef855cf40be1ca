"""The rows of a CSV or TSV file; a row that can't be what was meant says so.

CSV is RFC 4180's. TSV comes in two kinds, as spreadsheets and pandas write it (a cell that holds a
quote or a tab is put into quotes) and as plain text (a quote is a character of a post), and nothing
in a file says which: a row of a TSV is one line, quotes around a whole cell are taken off, any
other quote is text. So no lone quote joins rows; a text that spans lines needs CSV or JSON lines.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from runtime.csv_lines import CsvLines

_QUOTED_OR_PLAIN: Final = re.compile(r'(?:^|\t)("(?:[^"]|"")*"(?=\t|\Z)|[^\t]*)')


class TableRow(NamedTuple):
    """One row, with the line that it ends in, from 1."""

    line: int
    cells: list[str]
    problem: str | None = None
    """Why it isn't what was meant; the cells may be none, or not all."""


def table_rows(lines: Iterable[str], *, tabs: bool) -> Iterator[TableRow]:
    """Yield the header, then each row that isn't blank; none of it where there are no lines.

    `lines` keep their ends, as those of a file opened with `newline=""`. A row may have fewer cells
    than the header, and more only with a `problem`.
    """
    return _of_tsv(lines) if tabs else _of_csv(lines)


def tsv_cells(line: str, columns: int | None = None) -> list[str]:
    """Give the cells of a line of TSV, without its end; `columns` is how many its header has."""
    cells = line.split("\t")
    if columns is not None and len(cells) > columns:
        quoted = _QUOTED_OR_PLAIN.findall(line)  # a cell in quotes may hold tabs
        cells = quoted if len(quoted) == columns else cells
    return [_unquoted(cell) for cell in cells]


def tsv_problem(line: str, cells: int, columns: int) -> str | None:
    """Say why a line of TSV isn't a row; fewer cells than columns alone are no reason."""
    if cells > columns:
        return f"{_counts(cells, columns)}: a text with a tab needs quotes"
    # An odd number of quotes: a cell that a spreadsheet put into quotes begins or ends in here.
    if cells < columns and line.count('"') % 2:
        return (
            f"{_counts(cells, columns)}, and a quote is open: a text of a TSV can't span lines;"
            " write CSV or JSON lines"
        )
    return None


def separator_hint(header: Sequence[str]) -> str | None:
    """Say that a table's cells are separated by another character than its name promises.

    None where the header has several cells, or one with no such character.
    """
    if len(header) != 1:
        return None
    found = next((one for one in ";\t|," if one in header[0]), None)
    if found is None:
        return None
    named = "tabs" if found == "\t" else f"“{found}”"
    return f"its cells are separated by {named}: a .csv has commas, a .tsv tabs"


def _of_csv(lines: Iterable[str]) -> Iterator[TableRow]:
    counted = CsvLines(lines)
    # Strict: else a lone quote would take the rows up to the next one for its text.
    reader = csv.reader(counted, strict=True)
    columns: int | None = None
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            unclosed = counted.cut()
            last = reader.line_num
            yield TableRow(last, [], unclosed or _csv_problem(error, first, last))
            continue
        counted.cut()
        if not cells:
            continue
        columns = columns or len(cells)
        problem = None
        if len(cells) > columns:  # which of them is the text's end?
            problem = f"{_counts(len(cells), columns)}: a text with a comma needs quotes"
        yield TableRow(reader.line_num, cells, problem)


def _csv_problem(error: csv.Error, first: int, last: int) -> str:
    if "expected after" not in str(error):
        return str(error)
    of = f"lines {first} to {last}: " if last > first else ""
    return f"{of}text after a closing quote: a quote within a cell in quotes must be doubled"


def _of_tsv(lines: Iterable[str]) -> Iterator[TableRow]:
    columns: int | None = None
    for number, whole in enumerate(lines, start=1):
        if line := whole.rstrip("\r\n"):
            cells = tsv_cells(line, columns)
            columns = columns or len(cells)
            yield TableRow(number, cells, tsv_problem(line, len(cells), columns))


def _counts(cells: int, columns: int) -> str:
    return f"{cells} cells, the header has {columns}"


def _unquoted(cell: str) -> str:
    inner = cell[1:-1]
    if len(cell) < 2 or f'"{inner}"' != cell or '"' in inner.replace('""', ""):
        return cell
    return inner.replace('""', '"')
