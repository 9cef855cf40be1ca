"""The table that a run prints, and the same as JSON."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from tests.faults.peace import Fairness
from tests.faults.verdict import Verdict

_AFTERMATH_S = 15.0
"""A pause that begins this long after a fault was healed may still be its consequence."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was injected and healed; wall-clock seconds."""

    kind: str
    began: float
    healed: float


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """All faults of one kind."""

    pauses_s: tuple[float, ...]
    """The longest pause about each of them, in seconds; overlapping ones share theirs."""

    @property
    def usual_pause_s(self) -> float:
        """Half of them had none longer about them."""
        return median(self.pauses_s)


class Report(msgspec.Struct, kw_only=True):
    """A run in figures."""

    delivery: str = "at-least-once"
    """What was promised: with `exactly-once` a second output is a broken promise."""
    seeds: tuple[int, ...]
    """One for each run that is added up in here."""
    faults: int
    posts: int
    partitions: tuple[int, ...]
    took_s: float
    events: int
    dead_letters: int
    both: int = 0
    """Posts among the events and the dead letters: unreadable answers when they were read again."""
    skipped: int
    """Records that are no post, or were in a batch that was skipped: committed without a trace."""
    uncommitted: int
    """Records that rightly nobody finished: of a deleted topic, behind a fuse that has blown."""
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
    fairness: tuple[Fairness, ...]
    notes: dict[str, int]
    by_kind: dict[str, Kind]

    @property
    def ok(self) -> bool:
        return not self.breaches

    def text(self) -> str:
        """Give the table for a terminal, in Markdown."""
        rows = [
            f"| {kind} | {len(one.pauses_s)} | {one.usual_pause_s:.1f} | {max(one.pauses_s):.1f} |"
            for kind, one in sorted(self.by_kind.items())
        ]
        caught_up = "never" if self.caught_up_s is None else f"{self.caught_up_s:.1f} s"
        totals = [
            ("posts", f"{self.posts:,} on {_numbers(self.partitions)} partitions"),
            ("faults", f"{self.faults:,}, seed {_numbers(self.seeds)}"),
            ("events, dead letters", f"{self.events:,}, {self.dead_letters:,}"),
            ("both: an event, unreadable when read again", f"{self.both:,}"),
            ("skipped; rightly uncommitted", f"{self.skipped:,}; {self.uncommitted:,}"),
            ("delivery", self.delivery),
            ("**lost**", f"**{self.lost}**"),
            ("redelivered", f"{self.redelivered:,}"),
            ("commits, each held against the outputs", f"{self.commits:,}"),
            ("posts with an answer that couldn't be read", f"{self.unanswered:,}"),
            ("longest pause", f"{self.longest_pause_s:.1f} s"),
            ("longest stop after SIGTERM", f"{self.longest_stop_s:.1f} s"),
            ("caught up after the last fault", caught_up),
            ("RSS: most, growth after a minute", _mb(self.rss_peak_mb, self.rss_growth_mb)),
            (
                "few posts beside a backlog: usual, longest wait; the backlog; served before one",
                self._waits(),
            ),
            *((what, f"{times:,}") for what, times in sorted(self.notes.items())),
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

    def _waits(self) -> str:
        if not self.fairness:
            return "not tried"
        usual = median(one.few_median_s for one in self.fairness)
        longest = max(one.few_longest_s for one in self.fairness)
        backlog = median(one.backlog_s for one in self.fairness)
        overtaken = max(one.overtaken for one in self.fairness)
        return f"{usual:.1f}, {longest:.1f} s; {backlog:.0f} s; {overtaken} posts"


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
        kind: Kind(pauses_s=tuple(round(pause, 2) for pause in found))
        for kind, found in pauses.items()
    }


def as_json(report: Report) -> str:
    """The report as one JSON document."""
    fields: dict[str, Any] = msgspec.to_builtins(report)
    return msgspec.json.format(msgspec.json.encode(fields | {"ok": report.ok})).decode() + "\n"


def add(reports: Sequence[Report]) -> Report:
    """Add up the reports of several runs: sums of what is counted, the worst of what is measured.

    Raises:
        ValueError: there is none, or two have the same seed: they are the same run.
    """
    seeds = tuple(seed for one in reports for seed in one.seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"nothing to add up, or a seed twice: {seeds}")
    kinds: dict[str, tuple[float, ...]] = defaultdict(tuple)
    examples: dict[str, list[str]] = defaultdict(list)
    for one in reports:
        for kind, found in one.by_kind.items():
            kinds[kind] += found.pauses_s
        for promise, told in one.examples.items():
            examples[promise] += [f"seed {_numbers(one.seeds)}: {example}" for example in told]
    caught_up = [one.caught_up_s for one in reports if one.caught_up_s is not None]
    return Report(
        delivery=", ".join(sorted({one.delivery for one in reports})),
        seeds=seeds,
        faults=sum(one.faults for one in reports),
        posts=sum(one.posts for one in reports),
        partitions=tuple(sorted({number for one in reports for number in one.partitions})),
        took_s=round(sum(one.took_s for one in reports), 1),
        events=sum(one.events for one in reports),
        dead_letters=sum(one.dead_letters for one in reports),
        both=sum(one.both for one in reports),
        skipped=sum(one.skipped for one in reports),
        uncommitted=sum(one.uncommitted for one in reports),
        redelivered=sum(one.redelivered for one in reports),
        unanswered=sum(one.unanswered for one in reports),
        commits=sum(one.commits for one in reports),
        commits_back=sum(one.commits_back for one in reports),
        lost=sum(one.lost for one in reports),
        breaches=_sums(one.breaches for one in reports),
        examples=dict(examples),
        longest_pause_s=max(one.longest_pause_s for one in reports),
        longest_stop_s=max(one.longest_stop_s for one in reports),
        caught_up_s=max(caught_up) if len(caught_up) == len(reports) else None,
        rss_peak_mb=max(one.rss_peak_mb for one in reports),
        rss_growth_mb=max(one.rss_growth_mb for one in reports),
        processes=sum(one.processes for one in reports),
        ends=_sums(one.ends for one in reports),
        tracebacks=sum(one.tracebacks for one in reports),
        fairness=tuple(fair for one in reports for fair in one.fairness),
        notes=_sums(one.notes for one in reports),
        by_kind={kind: Kind(pauses_s=found) for kind, found in kinds.items()},
    )


def read_report(path: Path) -> Report:
    """A report that `as_json` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def _sums(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _numbers(numbers: Sequence[int]) -> str:
    first, last = min(numbers), max(numbers)
    return str(first) if first == last else f"{first} to {last}"


def _mb(peak: float, growth: float) -> str:
    return f"{peak:.0f} MB, {growth:+.0f} MB"
