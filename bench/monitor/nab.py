"""NAB's score, standard profile, and `python -m bench.monitor.nab FOLDER` for its tweet volumes.

Lavin and Ahmad 2015, and github.com/numenta/NAB (`nab/scorer.py`, `nab/sweeper.py`): the first
alarm in a window counts by a sigmoid of its place, a missed window costs 1, an alarm outside .11,
less the closer it follows a window. 0 is a detector that says nothing, 100 a perfect one. One
threshold for all series, the best.
"""

import json
import sys
from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import TypeAlias

from monitor.backtest.volumes import read_series, score_series

Windows: TypeAlias = Sequence[tuple[int, int]]
Scored: TypeAlias = tuple[Sequence[float], Windows]
"""A series' scores, and the first and last row of each labelled window."""

_FALSE = 0.11


def score(series: Sequence[Scored], threshold: float) -> float:
    """Return NAB's normalised score of all series at a threshold."""
    reached = windows = 0.0
    for scores, labelled in series:
        probation = min(int(0.15 * len(scores)), 750)
        judged = [window for window in labelled if window[1] >= probation]
        windows += len(judged)
        reached += _raw(scores, judged, threshold, probation)
    return 100 * (reached + windows) / (2 * windows)


def best(series: Sequence[Scored]) -> tuple[float, float]:
    """Return the best score over thresholds, and that threshold."""
    steps = [step / 200 for step in range(4, 200)]
    return max((score(series, threshold), threshold) for threshold in steps)


def _raw(scores: Sequence[float], windows: Windows, threshold: float, probation: int) -> float:
    reached, hit = 0.0, set()
    for row in range(probation, len(scores)):
        if scores[row] < threshold:
            continue
        inside = next((window for window in windows if window[0] <= row <= window[1]), None)
        if inside is not None:
            if inside not in hit:
                hit.add(inside)
                place = -(inside[1] - row + 1) / (inside[1] - inside[0] + 1)
                reached += _sigmoid(place) / _sigmoid(-1.0)
            continue
        before = [window for window in windows if window[1] < row]
        if before:
            begin, end = before[-1]
            reached += _FALSE * _sigmoid((row - end) / (end - begin))
        else:
            reached -= _FALSE
    return reached - (len(windows) - len(hit))


def _sigmoid(place: float) -> float:
    return -1.0 if place > 3 else 2 / (1 + exp(5 * place)) - 1


def main() -> None:
    """Score every series of a folder with `anomaly_windows.json`."""
    folder = Path(sys.argv[1])
    labels = json.loads((folder / "anomaly_windows.json").read_text(encoding="utf-8"))
    series: list[Scored] = []
    names: list[str] = []
    for file in sorted(folder.glob("*.csv")):
        rows = score_series(read_series(file))
        place = {row.timestamp: index for index, row in enumerate(rows)}
        (spans,) = (spans for name, spans in labels.items() if name.endswith(file.name))
        windows = [(place[a.split(".")[0]], place[b.split(".")[0]]) for a, b in spans]
        series.append(([row.anomaly_score for row in rows], windows))
        names.append(file.stem)
    reached, threshold = best(series)
    sys.stdout.write(f"all: {reached:.1f} at {threshold:.3f}\n")
    for name, one in zip(names, series, strict=True):
        sys.stdout.write(f"{name}: {score([one], threshold):.1f}\n")


if __name__ == "__main__":
    main()
