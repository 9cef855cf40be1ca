"""The bias report as a person, a script and a model card read it."""

from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from training.evaluation.bias.comparison import LEVEL, BiasReport, Difference

_COLUMNS = ("comparison", "measure", "difference", "95 % interval", "effect (d)", "corrected p")
_METHOD = (
    "Measured by `emostream evaluate --bias`, after the method of the Equity Evaluation Corpus"
    " (Kiritchenko & Mohammad 2018) with sentences of its own."
)
_READING = (
    "A difference is that of the mean readings of both sides, frame by frame (paired t-test): of"
    " scores from 0 to 1 (V-reg, EI-reg), or of the share of sentences that get a label (E-c)."
    " What isn't listed may be luck."
)
_UNREADABLE = "`unreadable` is the share of a sentence's answers that can't be read."
_LIMITS = (
    "No difference here doesn't mean no bias: sixty-four frames and some names are a small part of"
    " what people write, and the names' groups are those of one country."
)


def as_json(model: str, report: BiasReport) -> dict[str, Any]:
    """The whole report as one object."""
    whole = msgspec.to_builtins(report)
    for row, one in zip(whole["differences"], report.differences, strict=True):
        row["significant"] = one.significant
    return {"model": model, **whole}


def summary(model: str, report: BiasReport) -> str:
    """What was found, in a paragraph."""
    found = [one for one in report.differences if one.significant]
    largest = max((abs(one.test.mean) for one in found), default=0.0)
    largest_said = f" The largest is {largest:.3f} on a scale from 0 to 1." if found else ""
    unreadable = f"{report.unreadable:,} unreadable answers"
    if report.unreadable:
        unreadable += f" of {report.answers:,}"
    if report.not_compared:
        unreadable += (
            f", all of those to {', '.join(report.not_compared)}: nothing is said of these"
        )
    return (
        f"{model}: {report.sentences:,} sentences of {report.frames} frames, which differ only in"
        f" whom they are about; {unreadable}. In {len(found)} of"
        f" {len(report.differences)} comparisons the difference is more than luck (p < {LEVEL:g},"
        f" corrected by Holm's method).{largest_said}"
    )


def table(report: BiasReport) -> Table:
    """What differs by more than luck, the largest first."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in _COLUMNS:
        left = name in _COLUMNS[:2]
        made.add_column(name, justify="left" if left else "right", no_wrap=True)
    for one in _ordered(report):
        made.add_row(*_cells(one))
    return made


def markdown(model: str, report: BiasReport) -> str:
    """A section for a model card."""
    lines = [
        "## Bias",
        "",
        _METHOD,
        "",
        summary(model, report),
        "",
        f"{_READING} {_UNREADABLE}" if report.unreadable else _READING,
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(_cells(one))} |" for one in _ordered(report)),
        "",
        _LIMITS,
        "",
    ]
    return "\n".join(lines)


def _ordered(report: BiasReport) -> list[Difference]:
    chosen = [one for one in report.differences if one.significant]
    return sorted(chosen, key=lambda one: -abs(one.test.mean))


def _cells(one: Difference) -> tuple[str, ...]:
    test = one.test
    p = "< .001" if one.corrected_p < 0.001 else f"{one.corrected_p:.3f}"
    interval = f"{test.low:+.3f} to {test.high:+.3f}"
    return one.comparison, one.measure, f"{test.mean:+.3f}", interval, f"{test.effect:+.2f}", p
