"""The table that a run prints, and the same as JSON."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

import msgspec

from tests.faults.verdict import Verdict

_AFTERMATH_S = 15.0
"""A pause that begins this long after a fault was healed may still be its consequence."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was injected and healed; wall-clock seconds."""

    kind: str
    began: float
    healed: float


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """All faults of one kind; overlapping ones share a pause. Seconds."""

    times: int
    usual_pause_s: float
    """Half of them had none longer about them."""
    longest_pause_s: float


class Report(msgspec.Struct, kw_only=True):
    """A run in figures."""

    seed: int
    faults: int
    posts: int
    partitions: int
    took_s: float
    events: int
    dead_letters: int
    redelivered: int
    unanswered: int
    """Posts that say of a question that the model's answer couldn't be read, and rightly so."""
    commits: int
    commits_back: int
    lost: int
    breaches: dict[str, int]
    examples: dict[str, list[str]]
    longest_pause_s: float
    longest_stop_s: float
    caught_up_s: float | None
    """From the last fault's end, or the last post, to no lag; None: it never came about."""
    rss_peak_mb: float
    rss_growth_mb: float
    processes: int
    ends: dict[str, int]
    tracebacks: int
    by_kind: dict[str, Kind]

    @property
    def ok(self) -> bool:
        return not self.breaches

    def text(self) -> str:
        """Give the table for a terminal, in Markdown."""
        rows = [
            f"| {kind} | {one.times} | {one.usual_pause_s:.1f} | {one.longest_pause_s:.1f} |"
            for kind, one in sorted(self.by_kind.items())
        ]
        caught_up = "never" if self.caught_up_s is None else f"{self.caught_up_s:.1f} s"
        totals = [
            ("posts", f"{self.posts:,} on {self.partitions} partitions"),
            ("faults", f"{self.faults}, seed {self.seed}"),
            ("events, dead letters", f"{self.events:,}, {self.dead_letters:,}"),
            ("lost", str(self.lost)),
            ("redelivered", f"{self.redelivered:,}"),
            ("commits, each held against the outputs", f"{self.commits:,}"),
            ("posts with an answer that couldn't be read", f"{self.unanswered:,}"),
            ("longest pause", f"{self.longest_pause_s:.1f} s"),
            ("longest stop after SIGTERM", f"{self.longest_stop_s:.1f} s"),
            ("caught up after the last fault", caught_up),
            ("RSS: most, growth after a minute", _mb(self.rss_peak_mb, self.rss_growth_mb)),
            ("consumer processes", str(self.processes)),
            ("run", f"{self.took_s / 60:.1f} min"),
        ]
        lines = [
            "| fault | times | usual pause, s | longest, s |",
            "|---|---:|---:|---:|",
            *rows,
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in totals),
            "",
            f"ends: {self.ends}",
            f"broken promises: {self.breaches or 'none'}",
        ]
        lines += [
            f"  {promise}: {example}"
            for promise, examples in self.examples.items()
            for example in examples
        ]
        return "\n".join(lines) + "\n"


def by_kind(done: Sequence[Done], verdict: Verdict) -> dict[str, Kind]:
    """How often each kind came, and the pauses about it; overlapping ones share theirs."""
    pauses: dict[str, list[float]] = defaultdict(list)
    for fault in done:
        about = [
            (ended - began) / 1000
            for began, ended in verdict.pauses
            if began / 1000 < fault.healed + _AFTERMATH_S and ended / 1000 > fault.began
        ]
        pauses[fault.kind].append(max(about, default=0.0))
    return {
        kind: Kind(
            times=len(found),
            usual_pause_s=round(median(found), 2),
            longest_pause_s=round(max(found), 2),
        )
        for kind, found in pauses.items()
    }


def as_json(report: Report) -> str:
    """The report as one JSON document."""
    fields: dict[str, Any] = msgspec.to_builtins(report)
    return msgspec.json.format(msgspec.json.encode(fields | {"ok": report.ok})).decode() + "\n"


def _mb(peak: float, growth: float) -> str:
    return f"{peak:.0f} MB, {growth:+.0f} MB"
