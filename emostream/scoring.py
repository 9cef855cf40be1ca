"""Scores as a person and as a script read them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from emollm.instructions import KNOWN_TASKS
from training.evaluation.published import PUBLISHED, PublishedRow
from training.evaluation.scores import TaskScores

Scores = Mapping[str, Mapping[str, TaskScores]]
"""Model to task to its scores."""

_BENCHMARK = ("EI-reg", "EI-oc", "V-reg", "V-oc")
_DETAILS = {
    "scores": {"pearson": "Pearson", "pearson_upper": "gold >= .5", "mae": "mean error"},
    "classes": {
        "pearson": "Pearson",
        "pearson_some": "but 0",
        "kappa": "kappa",
        "kappa_some": "but 0",
        "accuracy": "accuracy",
    },
    "labels": {"jaccard": "Jaccard", "f1_micro": "micro-F1", "f1_macro": "macro-F1"},
}
"""Kind of task to its metrics and their columns; `but 0`: of posts whose gold class isn't 0."""


def as_json(scores: Scores) -> dict[str, Any]:
    """The scores and the published rows as one object."""
    return {
        "models": {
            model: {task: msgspec.to_builtins(one) for task, one in of_model.items()}
            for model, of_model in scores.items()
        },
        "published": [msgspec.to_builtins(row) for row in PUBLISHED],
    }


def benchmark_table(scores: Scores) -> Table | None:
    """Each model's five tasks above the rows of the paper; None where none of them was scored."""
    if not any(name in of_model for of_model in scores.values() for name in (*_BENCHMARK, "E-c")):
        return None
    table = Table(
        title="Pearson's coefficient; E-c: Jaccard / micro-F1 / macro-F1",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("model")
    for name in (*_BENCHMARK, "E-c"):
        table.add_column(name, justify="right")
    for model, of_model in scores.items():
        row = [_figure(of_model.get(name), "pearson") for name in _BENCHMARK]
        table.add_row(model, *row, _labels(of_model.get("E-c")), style="bold")
    table.add_section()
    for published in PUBLISHED:
        table.add_row(*_published(published), style="dim")
    return table


def detail_tables(model: str, of_model: Mapping[str, TaskScores]) -> Iterator[Table]:
    """All metrics of one model, a table for each kind of task, with what was scored."""
    for kind, columns in _DETAILS.items():
        mine = {name: one for name, one in of_model.items() if _kind(name) == kind}
        if not mine:
            continue
        table = Table(
            title=f"{model}: {kind}", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
        )
        table.add_column(kind, no_wrap=True, min_width=10)
        for name in ("scored", "unreadable", "missing", *columns.values()):
            table.add_column(name, justify="right")
        for name, one in mine.items():
            counts = (f"{one.scored:,}", f"{one.unreadable:,}", f"{one.missing:,}")
            table.add_row(name, *counts, *_cells(one.metrics, columns))
            for emotion, found in one.emotions.items():
                table.add_row(f"  {emotion}", "", "", "", *_cells(found, columns), style="dim")
        yield table


def _kind(name: str) -> str:
    kind = KNOWN_TASKS[name].kind
    return {"number": "scores", "labels": "labels"}.get(kind, "classes")


def _cells(metrics: Mapping[str, float], columns: Mapping[str, str]) -> list[str]:
    return [f"{metrics[name]:.3f}" if name in metrics else "" for name in columns]


def _figure(one: TaskScores | None, name: str) -> str:
    value = one.metrics.get(name) if one is not None else None
    return "" if value is None else f"{value:.3f}"


def _labels(one: TaskScores | None) -> str:
    if one is None or not one.metrics:
        return ""
    return _three([one.metrics[name] for name in ("jaccard", "f1_micro", "f1_macro")])


def _three(figures: Sequence[float]) -> str:
    return "/".join(f"{figure:.3f}".removeprefix("0") for figure in figures)


def _published(row: PublishedRow) -> tuple[str, ...]:
    figures = (row.ei_reg, row.ei_oc, row.v_reg, row.v_oc)
    return row.model, *(f"{figure:.3f}" for figure in figures), _three(row.e_c)
