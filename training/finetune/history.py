"""What is measured while a model trains: as JSON lines, and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import msgspec

_WIDTH: Final = 720
_HEIGHT: Final = 360
_LEFT: Final = 60
_BELOW: Final = 45
_MARGIN: Final = 20
_COLOURS: Final = {"training": "#7a869a", "dev": "#c2410c"}
_TICKS: Final = 5


class Measured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of `metrics.jsonl`: of the last updates, or of a look at dev."""

    step: int
    """Updates so far."""
    epoch: float
    """Passes over the training records so far."""
    loss: float | None = None
    """Mean loss of the training batches since the line before."""
    learning_rate: float | None = None
    gradient_norm: float | None = None
    dev_loss: float | None = None
    """Mean loss of the dev records' answers."""


def from_log(log: Iterable[Mapping[str, Any]]) -> list[Measured]:
    """Read the history that transformers' Trainer keeps."""
    found = []
    for one in log:
        if "loss" in one:
            found.append(
                Measured(
                    step=one["step"],
                    epoch=one["epoch"],
                    loss=_finite(one["loss"]),
                    learning_rate=_finite(one.get("learning_rate")),
                    gradient_norm=_finite(one.get("grad_norm")),
                )
            )
        elif "eval_loss" in one:
            found.append(
                Measured(step=one["step"], epoch=one["epoch"], dev_loss=_finite(one["eval_loss"]))
            )
    return found


def write(history: Sequence[Measured], folder: Path) -> None:
    """Write `metrics.jsonl` and `metrics.svg`, each whole or not at all."""
    lines = b"".join(msgspec.json.encode(one) + b"\n" for one in history)
    for name, content in {"metrics.jsonl": lines, "metrics.svg": svg(history).encode()}.items():
        partly = folder / f"{name}.partial"
        partly.write_bytes(content)
        partly.replace(folder / name)


def svg(history: Sequence[Measured]) -> str:
    """Draw the losses over the epochs; the best look at dev is marked."""
    curves = {
        "training": [(one.epoch, one.loss) for one in history if one.loss is not None],
        "dev": [(one.epoch, one.dev_loss) for one in history if one.dev_loss is not None],
    }
    points = [point for curve in curves.values() for point in curve]
    last = max((epoch for epoch, _ in points), default=1.0) or 1.0
    top = max((loss for _, loss in points), default=1.0) or 1.0
    right, down = _WIDTH - _LEFT - _MARGIN, _HEIGHT - _BELOW - _MARGIN

    def place(epoch: float, loss: float) -> tuple[float, float]:
        return round(_LEFT + right * epoch / last, 1), round(_MARGIN + down * (1 - loss / top), 1)

    shapes = [f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>']
    for tick in range(_TICKS):
        x, y = place(last * tick / (_TICKS - 1), top * tick / (_TICKS - 1))
        floor = _MARGIN + down
        shapes += [
            f'<path d="M{_LEFT} {y}H{_LEFT + right}" stroke="#e5e7eb"/>',
            _text(_LEFT - 8, y + 4, f"{top * tick / (_TICKS - 1):.3g}", "end"),
            _text(x, floor + 18, f"{last * tick / (_TICKS - 1):.3g}", "middle"),
        ]
    shapes.append(_text(_LEFT + right / 2, _HEIGHT - 8, "epochs", "middle"))
    for number, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[name]
        placed = [place(*point) for point in curve]
        if placed:
            line = " ".join(f"{x},{y}" for x, y in placed)
            shapes.append(
                f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
        shapes += [
            f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in placed if name == "dev"
        ]
        shapes.append(_text(_WIDTH - 150, _MARGIN + 16 + 18 * number, f"{name} loss", fill=colour))
    if curves["dev"]:
        epoch, least = min(curves["dev"], key=lambda point: point[1])
        x, y = place(epoch, least)
        shapes += [
            f'<circle cx="{x}" cy="{y}" r="6" fill="none" stroke="{_COLOURS["dev"]}"/>',
            _text(x, y - 12, f"best {least:.3f}", "middle", fill=_COLOURS["dev"]),
        ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, "<title>Loss over the epochs</title>", *shapes, "</svg>", ""])


def _text(x: float, y: float, words: str, anchor: str = "start", fill: str = "#374151") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'


def _finite(value: object) -> float | None:
    """A number that JSON has; None for what isn't one."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
