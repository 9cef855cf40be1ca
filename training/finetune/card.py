"""The model card that is put beside the weights: what they are, how to serve them, how good."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from training.evaluation.scores import TaskScores
from training.finetune.run import Result

NAME: Final = "README.md"
_TEXT: Final = """\
# {name}

{base} ({family}), fine-tuned with `emostream train` ({method}) to read emotions and sentiment.

Serve it, and tell the consumer how it wants to be asked, where it is no server of emostream's:

```console
emostream serve --model-id {name} --port 3000
```

```toml
[model]
servers = ["http://localhost:3000"]
name = "{name}"
family = "{family}"
wrapper = "{wrapper}"
```

## How it came about

{train_records:,} records, {dev_records:,} of dev to choose by; {steps:,} updates, {epochs:g}
epochs. {chosen} Loss over time: `metrics.svg`, `metrics.jsonl`. All settings: `training.json`.

{settings}

## Scores

{scores}

Models of this kind may carry bias (gender, race), and be wrong or too general: they are for
aggregates and for sorting, not for judging a person. `emostream evaluate --bias --model-id {name}`
measures part of it.
"""
_SHOWN: Final = ("pearson", "mae", "kappa", "accuracy", "jaccard", "f1_micro", "f1_macro")


def write(folder: Path, result: Result, scores: Mapping[str, TaskScores] | None) -> None:
    """Write the card; `scores` are None where the model wasn't scored."""
    chosen = "There was no dev set: these are the last weights."
    if result.dev_loss is not None:
        early = ", and training stopped early" if result.stopped_early else ""
        chosen = (
            f"These are the weights after update {result.best_step:,}, whose loss on dev was the"
            f" lowest ({result.dev_loss:.4f}){early}."
        )
    rows = [f"| {key.replace('_', ' ')} | {value} |" for key, value in result.plan.items()]
    text = _TEXT.format(
        name=folder.name,
        base=result.base,
        family=result.family,
        method=result.plan["method"],
        wrapper=result.wrapper,
        train_records=result.train_records,
        dev_records=result.dev_records,
        steps=result.steps,
        epochs=result.epochs,
        chosen=chosen,
        settings="\n".join(["| setting | |", "|---|---|", *rows]),
        scores=_table(scores),
    )
    (folder / NAME).write_text(text, encoding="utf-8")


def _table(scores: Mapping[str, TaskScores] | None) -> str:
    if not scores:
        return "It wasn't scored: `emostream evaluate` does so."
    lines = [
        "On the dev records' posts, each question asked once, in the first wording, greedily:",
        "",
        f"| task | posts | unreadable | {' | '.join(_SHOWN)} |",
        "|---" * (3 + len(_SHOWN)) + "|",
    ]
    for task, one in scores.items():
        figures = [f"{one.metrics[name]:.3f}" if name in one.metrics else "" for name in _SHOWN]
        lines.append(f"| {task} | {one.items} | {one.unreadable} | {' | '.join(figures)} |")
    return "\n".join(lines)
