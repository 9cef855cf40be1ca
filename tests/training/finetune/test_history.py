"""Metrics as lines and as a picture."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from training.finetune.history import from_log, svg, write

LOG: list[dict[str, Any]] = [
    {"step": 1, "epoch": 0.25, "loss": 2.0, "learning_rate": 1e-6, "grad_norm": 0.5},
    {"step": 2, "epoch": 0.5, "eval_loss": 1.5, "eval_runtime": 3.0},
    {"step": 3, "epoch": 0.75, "loss": float("nan")},
    {"step": 4, "epoch": 1.0, "eval_loss": 1.75},
    {"step": 4, "epoch": 1.0, "train_runtime": 9.0, "train_loss": 2.0},
]


def test_each_measurement_is_one_line(tmp_path: Path) -> None:
    write(from_log(LOG), tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 1, "epoch": 0.25, "loss": 2.0, "learning_rate": 1e-6, "gradient_norm": 0.5},
        {"step": 2, "epoch": 0.5, "dev_loss": 1.5},
        {"step": 3, "epoch": 0.75},
        {"step": 4, "epoch": 1.0, "dev_loss": 1.75},
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "metrics.svg"]


def test_the_picture_has_both_curves_and_marks_the_best_look() -> None:
    root = ET.fromstring(svg(from_log(LOG)))
    space = "{http://www.w3.org/2000/svg}"
    lines = [line.attrib["points"].split() for line in root.iter(f"{space}polyline")]
    assert [len(points) for points in lines] == [1, 2]
    words = {text.text for text in root.iter(f"{space}text")}
    assert {"training loss", "dev loss", "best 1.500", "epochs"} <= words
    # Lower losses are lower down, later epochs further right.
    (x1, y1), (x2, y2) = ([float(n) for n in point.split(",")] for point in lines[1])
    assert x1 < x2
    assert y1 > y2


def test_an_empty_history_is_a_picture_too() -> None:
    assert ET.fromstring(svg([])).tag.endswith("svg")
