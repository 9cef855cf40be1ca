"""A soak drawn: latency, and four figures of the process that should be flat."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bench.soak.log import Record, Sample
from bench.soak.verdict import Trend, Verdict

_INK, _GREY, _LINE = "#1f2328", "#6e7781", "#d0d7de"
_BLUE, _ORANGE, _WARM = "#0969da", "#bc4c00", "#f3f4f6"
_STYLE: Any = {  # typed the same whether matplotlib is installed or not
    "svg.fonttype": "none",  # text stays text: a third of the size, and readers can search it
    "font.sans-serif": ["DejaVu Sans", "Helvetica Neue", "Helvetica", "Arial"],
    "svg.hashsalt": "soak",  # the same run gives the same file
    "font.size": 9,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "text.color": _INK,
    "path.simplify_threshold": 0.3,
}


def draw(record: Record, verdict: Verdict, path: Path) -> None:
    """Write the picture; the file's ending says as what (svg, png)."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.6, 7.2), layout="constrained", facecolor="white")
        grid = figure.add_gridspec(3, 2, height_ratios=(1.35, 1, 1))
        _latency(figure.add_subplot(grid[0, :]), record, verdict)
        reads: tuple[Callable[[Sample], float], ...] = (
            lambda one: one.rss_mb,
            lambda one: one.fds,
            lambda one: one.tasks,
            lambda one: one.threads,
        )
        for place, (trend, read) in enumerate(zip(verdict.trends, reads, strict=True)):
            axes = figure.add_subplot(grid[1 + place // 2, place % 2])
            _figure(axes, record, verdict, trend, read)
            if place >= 2:
                axes.set_xlabel("minutes")
        metadata = {"Date": None} if path.suffix == ".svg" else None
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata=metadata, dpi=130)


def _latency(axes: Any, record: Record, verdict: Verdict) -> None:
    middles = [(one.at_s + one.seconds / 2) / 60 for one in record.windows]
    lines = (
        ("p99", _ORANGE, [one.p99_ms for one in record.windows], "bottom"),
        ("p50", _BLUE, [one.p50_ms for one in record.windows], "top"),
    )
    for name, colour, values, side in lines:
        axes.plot(middles, values, color=colour, lw=1.4, marker="o", ms=2.6, mew=0)
        axes.annotate(
            name,
            (middles[-1], values[-1]),
            xytext=(6, 0),
            textcoords="offset points",
            va=side,
            color=colour,
            fontweight="bold",
        )
    axes.set_yscale("log")
    axes.set_ylim(min(lines[1][2]) / 1.6, max(max(lines[0][2]) * 1.6, 1000))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(_time))
    axes.yaxis.set_minor_formatter(NullFormatter())
    seconds = record.windows[0].seconds
    title = f"latency from post to event, each {seconds:g} s"
    _frame(axes, record, verdict, title, "vertical lines: a second member joins or leaves")
    axes.annotate(
        "warm-up, from a backlog",
        (0.008, 0.04),
        xycoords="axes fraction",
        fontsize=8,
        color=_GREY,
    )


def _figure(
    axes: Any, record: Record, verdict: Verdict, trend: Trend, read: Callable[[Sample], float]
) -> None:
    values = [read(one) for one in record.samples]
    axes.plot([one.at_s / 60 for one in record.samples], values, color=_BLUE, lw=1.1)
    axes.set_ylim(0, max(values) * 1.25)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    title = f"{trend.name}, {trend.unit}" if trend.unit else trend.name
    unit = f" {trend.unit}" if trend.unit else ""
    growth = f"{trend.growth:+.1f}{unit}".replace("-", "−")  # noqa: RUF001 - a minus sign
    growth = growth[1:] if set(growth) <= set("+−0. " + trend.unit) else growth  # noqa: RUF001
    _frame(axes, record, verdict, title, f"growth {growth}")


def _frame(axes: Any, record: Record, verdict: Verdict, title: str, note: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_title(note, loc="right", fontsize=8.5, color=_GREY)
    end = record.setup.minutes
    axes.set_xlim(0, end)
    axes.axvspan(0, verdict.from_s / 60, color=_WARM, lw=0, zorder=0)
    axes.grid(axis="y", color=_LINE, lw=0.5, alpha=0.7)
    for one in record.rebalances:
        axes.axvline(one.at_s / 60, color=_GREY, lw=0.6, alpha=0.55, zorder=1)
    axes.tick_params(which="both", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))


def _time(milliseconds: float, _: object = None) -> str:
    return f"{milliseconds:g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:g} s"
