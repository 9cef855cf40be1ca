"""The picture of `docs/monitor.md`: false alarms, power and delay, beside the told CUSUM."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.monitor.judge import Tally

Results = Sequence[tuple[str, dict[float, Tally], dict[float, Tally]]]
"""Kind of world, tallies by knob, tallies of the told CUSUM by threshold."""


def draw(results: Results, file: Path) -> None:
    """Draw three panels into an SVG."""
    mpl.use("svg")
    plt.rcParams["svg.hashsalt"] = "emostream"
    figure, (knobs, power, delay) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    _knobs(knobs, results)
    _power(power, results)
    _delay(delay, results)
    figure.savefig(file, metadata={"Date": None})


def _knobs(axes: plt.Axes, results: Results) -> None:
    pooled: dict[float, Tally] = {}
    for _, ours, _ in results:
        for knob, result in ours.items():
            into = pooled.setdefault(knob, Tally())
            into.false += result.false
            into.weeks += result.weeks
    knobs = sorted(pooled)
    rates = [pooled[knob].false_a_week() for knob in knobs]
    bounds = [pooled[knob].interval() for knob in knobs]
    lower = [rate - low for rate, (low, _) in zip(rates, bounds, strict=True)]
    upper = [high - rate for rate, (_, high) in zip(rates, bounds, strict=True)]
    axes.errorbar(knobs, rates, yerr=[lower, upper], fmt="o-", color="tab:red", capsize=3)
    axes.plot(knobs, knobs, ":", color="gray", label="as asked")
    axes.set(xscale="log", yscale="log", xlabel="the knob", ylabel="false alarms a track and week")
    axes.legend(frameon=False)


def _power(axes: plt.Axes, results: Results) -> None:
    for name, ours, told in results:
        for tallies, mark in ((ours, "o"), (told, "x")):
            axes.plot(
                [result.false_a_week() for result in tallies.values()],
                [result.found() for result in tallies.values()],
                mark,
                linestyle="-" if mark == "x" else "",
                color=f"C{[kind for kind, _, _ in results].index(name)}",
                alpha=0.9 if mark == "o" else 0.4,
                label=name if mark == "o" else None,
            )
    axes.set(
        xlabel="false alarms a track and week", ylabel="share of all storms found", xlim=(0, 3)
    )
    axes.legend(frameon=False, fontsize=6, title="o emostream, x told CUSUM", title_fontsize=6)


def _delay(axes: plt.Axes, results: Results) -> None:
    storms = [storm for _, ours, _ in results for storm in ours[min(ours, key=_near)].storms]
    for size in (0.15, 0.30, 0.50):
        rates = sorted({rate for rate, *_ in storms})
        shown: list[tuple[float, float]] = []
        for rate in rates:
            delays = [
                late for at, of, _, late in storms if at == rate and of == size and late is not None
            ]
            if len(delays) >= 3:
                shown.append((rate, median(delays) / 60))
        axes.plot([x for x, _ in shown], [y for _, y in shown], "o-", label=f"+{size:.2f}")
    axes.axhline(7, linestyle=":", color="gray")
    axes.set(xscale="log", xlabel="posts a minute", ylabel="minutes from onset to alarm (median)")
    axes.legend(frameon=False)


def _near(knob: float) -> float:
    return abs(knob - 0.5)
