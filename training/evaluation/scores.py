"""From pairs of gold label and prediction to the metrics of each task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from emollm.instructions import KNOWN_TASKS
from emollm.readers import LabelsReader, Unreadable, Value
from training.evaluation import metrics
from training.evaluation.readings import Pair

UnreadableRule = Literal["leave-out", "middle"]
"""What an unreadable prediction counts as: nothing, or the middle of the scale (no label, for
E-c), as in the organisers' script. The first is what the EmoLLMs' figures are comparable with."""

_MIDDLES: Final = {"EI-reg": 0.5, "EI-oc": 0, "V-reg": 0.5, "V-oc": 0}


class TaskScores(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How well one task's predictions agree with people."""

    items: int
    """Gold labels."""
    scored: int
    """Of them, those that the metrics were computed from."""
    unreadable: int
    """Answers that can't be read."""
    missing: int
    """Gold labels without a prediction."""
    metrics: dict[str, float]
    """By name; for EI the mean over its emotions. Empty with fewer than two to score."""
    emotions: dict[str, dict[str, float]] = {}
    """For EI: the metrics of each emotion."""


def score(
    pairs: Sequence[Pair], *, unreadable: UnreadableRule = "leave-out"
) -> dict[str, TaskScores]:
    """Score each task that has gold labels, in the order of the benchmark.

    Numbers: `pearson`, `pearson_upper` (gold of 0.5 and more; EI-reg and V-reg), `mae`. Classes:
    `pearson`, `kappa` (quadratic weights), of EI-oc and V-oc also over the posts whose gold class
    isn't 0 (`…_some`); `accuracy`. Labels: `jaccard`, `f1_micro`, `f1_macro`.
    """
    return {
        name: _task(name, of_task, unreadable)
        for name in KNOWN_TASKS
        if (of_task := [pair for pair in pairs if pair[0].task == name])
    }


def _task(name: str, pairs: list[Pair], rule: UnreadableRule) -> TaskScores:
    missing = sum(value is None for _, value in pairs)
    unreadable = sum(isinstance(value, Unreadable) for _, value in pairs)
    groups: dict[str | None, list[tuple[Value, Value]]] = {}
    for gold, value in pairs:
        chosen = value
        if isinstance(value, Unreadable) and rule == "middle":
            chosen = _middle(name)
        if chosen is not None and not isinstance(chosen, Unreadable):
            assert not isinstance(gold.value, Unreadable)
            groups.setdefault(gold.emotion, []).append((chosen, gold.value))
    found = {emotion: _metrics(name, group) for emotion, group in groups.items() if len(group) >= 2}
    by_emotion = {emotion: one for emotion, one in sorted(found.items(), key=str) if emotion}
    return TaskScores(
        items=len(pairs),
        scored=sum(map(len, groups.values())),
        unreadable=unreadable,
        missing=missing,
        metrics=_mean(list(found.values())),
        emotions=dict(by_emotion),
    )


def _middle(name: str) -> Value | None:
    if KNOWN_TASKS[name].kind == "labels":
        return ()
    return _MIDDLES.get(name)


def _mean(parts: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric that all emotions have."""
    names = [name for name in (parts[0] if parts else ()) if all(name in one for one in parts)]
    return {name: sum(one[name] for one in parts) / len(parts) for name in names}


def _metrics(name: str, pairs: list[tuple[Value, Value]]) -> dict[str, float]:
    task = KNOWN_TASKS[name]
    if isinstance(task.reader, LabelsReader):
        mine = [set(one) for one, _ in pairs if isinstance(one, tuple)]
        gold = [set(other) for _, other in pairs if isinstance(other, tuple)]
        micro, macro = metrics.f1(mine, gold, task.reader.labels)
        return {"jaccard": metrics.jaccard(mine, gold), "f1_micro": micro, "f1_macro": macro}
    numbers = [
        (one, other)
        for one, other in pairs
        if isinstance(one, int | float) and isinstance(other, int | float)
    ]
    if task.kind == "number":
        upper = [pair for pair in numbers if pair[1] >= 0.5]
        found = {"pearson": _of(metrics.pearson, numbers)}
        if name in _MIDDLES and len(upper) >= 2:
            found["pearson_upper"] = _of(metrics.pearson, upper)
        return found | {"mae": _of(metrics.mean_absolute_error, numbers)}
    classes = [(int(one), int(other)) for one, other in numbers]
    some = [pair for pair in classes if pair[1] != 0]
    found = {"pearson": _of(metrics.pearson, classes), "kappa": _of(_kappa, classes)}
    if name in _MIDDLES and len(some) >= 2:
        found |= {"pearson_some": _of(metrics.pearson, some), "kappa_some": _of(_kappa, some)}
    return found | {"accuracy": _of(metrics.accuracy, classes)}


def _kappa(predicted: Sequence[float], gold: Sequence[float]) -> float:
    return metrics.quadratic_kappa([int(one) for one in predicted], [int(one) for one in gold])


def _of(
    metric: Callable[[Sequence[float], Sequence[float]], float],
    pairs: Sequence[tuple[float, float]],
) -> float:
    return metric([one for one, _ in pairs], [other for _, other in pairs])
