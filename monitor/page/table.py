"""A chart's figures as CSV, for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from monitor.page.data import Columns

CHARTS = ("negative_share", "valence", "posts", "emotions")
"""The charts of the page."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# What spreadsheets take for the beginning of a formula, full-width forms included (OWASP).


def guarded(cell: str) -> str:
    """A stranger's text as a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def as_csv(columns: Columns, chart: str, start: int, end: int) -> str:
    """The minutes of `chart` from `start` (included) to `end` (not), in Unix seconds."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    named = dict(_columns(columns, chart))
    writer.writerow(["track", "minute", *named])
    track = guarded(columns.track)
    for index in range(len(columns.posts)):
        at = columns.start + 60 * index
        if start <= at < end:
            moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            writer.writerow([track, moment, *_cells(column[index] for column in named.values())])
    return out.getvalue()


def file_name(track: str, chart: str) -> str:
    """A name for the download: letters, digits and dashes."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in track[:40]).strip("-")
    return f"emostream-{plain or 'track'}-{chart}.csv"


def _columns(columns: Columns, chart: str) -> Iterator[tuple[str, Sequence[float | None]]]:
    if chart == "emotions":
        yield "posts", columns.posts
        yield from columns.emotions.items()
        return
    figures: Sequence[float | None] = getattr(columns, chart)
    yield chart, figures
    bands = columns.bands.get(chart)
    if bands is not None:
        yield from zip(("expected", "low", "high"), bands, strict=True)
    if chart != "posts":
        yield "posts", columns.posts
    yield "authors", columns.authors


def _cells(figures: Iterable[float | None]) -> Iterator[str]:
    for figure in figures:
        yield "" if figure is None else f"{figure:.4f}".rstrip("0").rstrip(".") or "0"
