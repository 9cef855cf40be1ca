"""The table that a soak prints, in Markdown."""

import math

from bench.soak_log import Record
from bench.soak_verdict import Third, Trend, Verdict


def table(record: Record, verdict: Verdict) -> str:
    """Give the figures for a terminal and for docs/delivery.md."""
    setup, counts = record.setup, record.counts
    minutes = (verdict.to_s - verdict.from_s) / 60
    rate, prompts = setup.posts_per_s, setup.posts_per_s * setup.prompts_per_post
    rows = [
        ("load", f"{rate:.0f} posts/s, {prompts:.0f} of {setup.capacity:.0f} prompts/s"),
        (
            "run, measured",
            f"{setup.minutes:g} min, from {_clock(verdict.from_s)} on ({minutes:g} min)",
        ),
        ("posts, events, lost", f"{counts.posts:,}, {counts.events:,}, {counts.lost}"),
        ("redelivered, dead letters", f"{counts.redelivered}, {counts.dead_letters}"),
        ("rebalances", f"{verdict.rebalances} ({counts.assignor})"),
        ("longest pause of a partition", f"{verdict.longest_pause_s:.2f} s"),
        *((one.name, _trend(one)) for one in verdict.trends),
        ("CPU", f"{verdict.cpu:.0%} of a core"),
        ("p50 / p99, first third", _third(verdict.first)),
        ("p50 / p99, last third", _third(verdict.last)),
    ]
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]
    lines += [f"not as it should be: {broken}" for broken in verdict.broken] or ["flat"]
    return "\n".join(lines) + "\n"


def _trend(one: Trend) -> str:
    digits = 1 if one.unit else 0
    unit = f" {one.unit}" if one.unit else ""
    return (
        f"{one.median:.{digits}f}{unit}; growth {one.growth:+.2f}{unit}"
        f" ({one.least:+.2f} to {one.most:+.2f})"
    )


def _third(one: Third) -> str:
    troubled = "" if math.isnan(one.p99_rebalance_ms) else f"; p99 {one.p99_rebalance_ms:,.0f} ms"
    about = " about a rebalance" if troubled else ""
    return f"{one.p50_ms:.0f} / {one.p99_ms:.0f} ms{troubled}{about}"


def _clock(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
