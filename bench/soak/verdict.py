"""Whether a soak was flat.

What is measured are whole cycles of the second member's coming and going, after a warm-up. Memory
is judged by the Theil-Sen slope of its samples (the median of the slopes between all pairs; a spike
doesn't move it) times the length of the stretch. Descriptors, tasks and threads come and go with
the requests in flight, so what is judged is the slope of their floor, the least of each cycle,
which only what is never given back can raise. Latency is judged by the median p99 of the first and
the last third.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import msgspec
from scipy.stats import theilslopes

from bench.soak.log import Rebalance, Record, Sample, Window

_WARM_UP_S = 300.0
"""By then the answer cache is full and every buffer has its size; a sixth of a shorter run."""
_OBJECT_BYTES = 24
"""A float in Python: what leaks with each post is no smaller."""
_EACH_REBALANCE = 0.5
"""Descriptors, tasks or threads that a rebalance may seem to leave behind: whole ones leak."""
_WORSE = 1.25
_NOISE_MS = 10.0
"""The p99 of two calm stretches of the same program on the same machine differs by less."""


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the process over the measured stretch."""

    name: str
    unit: str
    median: float
    growth: float
    """Over the whole stretch, by the slope."""
    least: float
    most: float
    """The growth's 95 % confidence interval."""
    limit: float
    noisy: bool
    """Whether it comes and goes with the load."""

    @property
    def flat(self) -> bool:
        """Whether it grew by no more than its limit, or by nothing that differs from noise."""
        return self.growth <= self.limit or (self.noisy and self.least <= 0)


class Third(msgspec.Struct, frozen=True, kw_only=True):
    """Latency in a third of the stretch: medians over its windows, in milliseconds."""

    p50_ms: float
    p99_ms: float
    """Of the windows without a rebalance."""
    p99_rebalance_ms: float
    """Of the windows with one."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    from_s: float
    to_s: float
    trends: tuple[Trend, ...]
    first: Third
    last: Third
    rebalances: int
    """In the whole run."""
    longest_pause_s: float
    """The longest `Rebalance.paused_s`."""
    cpu: float
    """Share of a core that the measured process used, over the stretch."""
    broken: tuple[str, ...]
    """What wasn't as it should be; empty: flat, and nothing lost."""


def judge(record: Record) -> Verdict:
    """Judge a run."""
    end = record.setup.minutes * 60
    from_s = _beginning(end, 2 * record.setup.rebalance_every_s)
    samples = [one for one in record.samples if from_s <= one.at_s < end]
    windows = [one for one in record.windows if from_s <= one.at_s and one.at_s < end]
    within = [one for one in record.rebalances if from_s <= one.at_s <= end]
    trends = _trends(samples, len(within), 2 * record.setup.rebalance_every_s)
    third = (end - from_s) / 3
    first = _third([one for one in windows if one.at_s < from_s + third], record.rebalances)
    last = _third([one for one in windows if one.at_s >= end - third], record.rebalances)
    broken = [
        f"{one.name} grew by {one.growth:+.2f} {one.unit}".rstrip()
        for one in trends
        if not one.flat
    ]
    if last.p99_ms > max(_WORSE * first.p99_ms, first.p99_ms + _NOISE_MS):
        broken.append(f"p99 went from {first.p99_ms:.0f} to {last.p99_ms:.0f} ms")
    seconds = samples[-1].at_s - samples[0].at_s
    return Verdict(
        from_s=from_s,
        to_s=end,
        trends=trends,
        first=first,
        last=last,
        rebalances=len(record.rebalances),
        longest_pause_s=max((one.paused_s for one in record.rebalances), default=0.0),
        cpu=(samples[-1].cpu_s - samples[0].cpu_s) / seconds,
        broken=(*broken, *_broken_promises(record)),
    )


def warm_up_s(end: float) -> float:
    """Seconds at the beginning that are never measured, of a run of so many."""
    return min(_WARM_UP_S, end / 6)


def _beginning(end: float, cycle: float) -> float:
    """So many whole cycles before the end that it is after the warm-up."""
    warm_up = warm_up_s(end)
    cycles = (end - warm_up) // cycle
    return end - cycles * cycle if cycles else warm_up


def _trends(samples: Sequence[Sample], rebalances: int, cycle_s: float) -> tuple[Trend, ...]:
    posts = samples[-1].consumed - samples[0].consumed
    began = samples[0].at_s
    cycles = [
        tuple(some) for _, some in groupby(samples, lambda one: (one.at_s - began) // cycle_s)
    ]

    def count(name: str, read: Callable[[Sample], int]) -> Trend:
        points = [(some[0].at_s, float(min(map(read, some)))) for some in cycles]
        median = statistics.median(map(read, samples))
        limit = _EACH_REBALANCE * rebalances
        return _trend(name, "", points, median=median, limit=limit, noisy=True)

    memory = [(one.at_s, one.rss_mb) for one in samples]
    median = statistics.median(one.rss_mb for one in samples)
    limit = _OBJECT_BYTES * posts / 1e6
    return (
        _trend("resident memory", "MB", memory, median=median, limit=limit, noisy=False),
        count("file descriptors", lambda one: one.fds),
        count("asyncio tasks", lambda one: one.tasks),
        count("threads", lambda one: one.threads),
    )


def _trend(
    name: str,
    unit: str,
    points: Iterable[tuple[float, float]],
    *,
    median: float,
    limit: float,
    noisy: bool,
) -> Trend:
    at, values = zip(*points, strict=True)
    slope, _, least, most = theilslopes(values, at)
    seconds = at[-1] - at[0]
    return Trend(
        name=name,
        unit=unit,
        median=median,
        growth=float(slope) * seconds,
        least=float(least) * seconds,
        most=float(most) * seconds,
        limit=limit,
        noisy=noisy,
    )


def _third(windows: Sequence[Window], rebalances: Sequence[Rebalance]) -> Third:
    troubled = [one for one in windows if any(touches(one, other) for other in rebalances)]
    calm = [one for one in windows if one not in troubled]

    def middle(values: list[float]) -> float:
        return statistics.median(values) if values else float("nan")

    return Third(
        p50_ms=middle([one.p50_ms for one in calm]),
        p99_ms=middle([one.p99_ms for one in calm]),
        p99_rebalance_ms=middle([one.p99_ms for one in troubled]),
    )


def touches(window: Window, rebalance: Rebalance) -> bool:
    """Whether posts of the window had to wait for the rebalance, or for what it left waiting."""
    return window.at_s < rebalance.at_s + 1 and rebalance.began_s < window.at_s + window.seconds


def _broken_promises(record: Record) -> list[str]:
    counts = record.counts
    planned = sum(one.planned for one in record.rebalances)
    unplanned = len(record.rebalances) - planned
    changes = len(record.changes)
    found = (
        (counts.lost, f"{counts.lost} posts lost"),
        (counts.events != counts.posts, f"{counts.posts} posts, {counts.events} events"),
        (counts.dead_letters, f"{counts.dead_letters} dead letters"),
        (counts.other_ids, f"{counts.other_ids} events came twice with two ids"),
        (counts.uncommitted, f"{counts.uncommitted} posts uncommitted after an orderly stop"),
        (counts.not_written, f"{counts.not_written} posts not written"),
        (any(counts.exits), f"exit statuses {', '.join(map(str, counts.exits))}"),
        (counts.tracebacks, f"{counts.tracebacks} tracebacks"),
        (planned != changes, f"{changes} changes of the group, {planned} rebalances for them"),
        (unplanned, f"{unplanned} rebalances that no change explains"),
    )
    return [words for is_broken, words in found if is_broken]
