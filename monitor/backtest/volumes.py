"""A series of volumes in a file: read, scored row by row, written."""

import csv
from math import isfinite, log
from pathlib import Path

import msgspec

from monitor.detection.volume import VolumeDetector


class VolumeFileError(ValueError):
    """The file is no series of volumes; the message names the line."""


class ScoredRow(msgspec.Struct, frozen=True):
    """One row of a series, with its score."""

    timestamp: str
    """As the file has it."""
    value: float
    anomaly_score: float
    """0 (usual) to 1."""
    fires: bool = False
    """Whether the score is high enough for an alarm at the chosen knob."""


def read_series(file: Path) -> list[tuple[str, float]]:
    """Return the rows of `timestamp,value`.

    Raises:
        VolumeFileError: the header or a row is another.
    """
    # utf-8-sig: spreadsheets write a byte order mark.
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines)
        try:
            header = next(reader, [])
            if [name.strip().casefold() for name in header[:2]] != ["timestamp", "value"]:
                raise VolumeFileError("the first line must be: timestamp,value")
            filled = (row for row in reader if any(cell.strip() for cell in row))
            return [_row(row, reader.line_num) for row in filled]
        except UnicodeDecodeError:
            raise VolumeFileError("it isn't UTF-8 text") from None
        except csv.Error as error:
            raise VolumeFileError(f"line {reader.line_num}: {error}") from None


def _row(row: list[str], number: int) -> tuple[str, float]:
    try:
        timestamp, value = row[0], float(row[1])
    except (IndexError, ValueError):
        raise VolumeFileError(f"line {number} must be a time and a number") from None
    if not isfinite(value):
        raise VolumeFileError(f"line {number}: the value must be finite")
    return timestamp, value


def score_series(rows: list[tuple[str, float]], *, false_alarms: float = 0.5) -> list[ScoredRow]:
    """Score each row knowing only those before it.

    An alarm needs a score that falls with the knob: .3 at half a false alarm a week.
    """
    least = min(0.95, max(0.05, 0.3 + 0.1 * log(0.5 / false_alarms)))
    detector = VolumeDetector()
    scored = []
    for timestamp, value in rows:
        score = round(detector.score(value), 6)
        scored.append(ScoredRow(timestamp, value, score, score >= least))
    return scored


def write_scores(file: Path, rows: list[ScoredRow]) -> None:
    """Write `timestamp,value,anomaly_score`."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("timestamp", "value", "anomaly_score"))
        writer.writerows((row.timestamp, f"{row.value:.15g}", row.anomaly_score) for row in rows)
