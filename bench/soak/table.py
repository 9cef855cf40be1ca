"""The table that a soak prints, in Markdown."""

from bench.soak.log import Record
from bench.soak.verdict import Trend, Verdict


def table(record: Record, verdict: Verdict) -> str:
    """Give the figures for a terminal and for docs/evidence/soak.md."""
    setup, counts = record.setup, record.counts
    minutes = (verdict.to_s - verdict.from_s) / 60
    first, last, window = verdict.first, verdict.last, record.windows[0].seconds
    rate, prompts = setup.posts_per_s, setup.posts_per_s * setup.prompts_per_post
    rows = [
        ("load", f"{rate:.0f} posts/s, {prompts:.0f} of {setup.capacity:.0f} prompts/s"),
        ("run", f"{setup.minutes:g} min on {setup.cpus} cores"),
        ("measured", f"from {_clock(verdict.from_s)} on ({minutes:.3g} min)"),
        ("posts, events, lost", f"{counts.posts:,}, {counts.events:,}, {counts.lost}"),
        ("redelivered, dead letters", f"{counts.redelivered}, {counts.dead_letters}"),
        ("rebalances", f"{verdict.rebalances} ({counts.assignor})"),
        ("longest pause of a partition", f"{verdict.longest_pause_s:.2f} s"),
        *((one.name, _trend(one)) for one in verdict.trends),
        ("CPU", f"{verdict.cpu:.0%} of a core"),
        (
            f"p50 / p99 of windows ({window:g} s) without a rebalance, first → last third",
            f"{first.p50_ms:.0f} / {first.p99_ms:.0f} → {last.p50_ms:.0f} / {last.p99_ms:.0f} ms",
        ),
        (
            "p99 of windows with one, first → last third",
            f"{first.p99_rebalance_ms:,.0f} → {last.p99_rebalance_ms:,.0f} ms",
        ),
        ("verdict", f"not flat: {'; '.join(verdict.broken)}" if verdict.broken else "flat"),
    ]
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join(lines) + "\n"


def _trend(one: Trend) -> str:
    digits = 1 if one.unit else 0
    unit = f" {one.unit}" if one.unit else ""
    return (
        f"{one.median:.{digits}f}{unit}; growth {one.growth:+.2f}{unit}"
        f" ({one.least:+.2f} to {one.most:+.2f})"
    )


def _clock(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
