"""Counts what happens, for `/metrics`: plain numbers, for everything runs on one event loop.

A label's dictionary look-up and an addition is all that a fact costs (0.2 µs); the text that
Prometheus reads is made when it asks.
"""

import asyncio
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import get_args

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from consumer.dead_letters import KNOWN
from consumer.records import SKIP_RULES, Record
from consumer.telemetry import metrics as m
from consumer.telemetry.observer import BatchClosed, CommitFailure, PauseReason
from consumer.telemetry.state import Snapshot
from emollm.errors import (
    GenerationFailed,
    Overloaded,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from emollm.pool import BreakerState
from emollm.protocol import ServerInfo
from runtime.registry.client import Outcome

_BREAKER = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class _Histogram:
    """Counts by bucket, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, metric: m.Metric) -> None:
        self.bounds = metric.buckets
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: Sequence[float]) -> None:
        bounds, counts = self.bounds, self.counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self.total += sum(values)

    def cumulative(self) -> list[tuple[str, float]]:
        so_far, rows = 0, []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            so_far += count
            rows.append((bound, float(so_far)))
        return rows


class Meter(Collector):
    """Observer of the service, of the analysis and of the pool in one, and what a scrape reads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self.last_answer = monotonic()
        """When a model server last answered a request, or failed to: the pool is at work."""
        self.snapshot: Callable[[], Snapshot] | None = None
        """How the service is doing; set once there is one."""
        self.cache_size: Callable[[], tuple[int, int]] | None = None
        """Entries and bytes of the cache; set once there is one."""
        self.model: ServerInfo | None = None
        """Which model; set once a server has told."""
        self.registry_waiting: Callable[[], int] = int
        """How many records wait for a schema; set where a registry is read by."""
        self.second_available: Callable[[], bool] | None = None
        """Whether the second model takes prompts; set where one is configured."""
        self.spans: Callable[[], Mapping[str, int]] | None = None
        """Finished spans by what became of them; set where tracing is on."""
        self._counts: dict[str, defaultdict[tuple[str, ...], float]] = {
            metric.name: defaultdict(float) for metric in m.ALL if metric.kind != "histogram"
        }
        self._histograms = {
            metric.name: _Histogram(metric)
            for metric in m.ALL
            if metric.kind == "histogram" and not metric.labels
        }
        self._request_seconds: dict[str, _Histogram] = {}
        # What is counted for every prompt or event is bound once.
        self._requests = self._counts[m.REQUESTS.name]
        self._latency = self._histograms[m.EVENT_LATENCY.name]
        self._age = self._histograms[m.EVENT_AGE.name]
        self._counts[m.FUSE.name][()] = 0.0
        for metric in m.ALL:  # a counter that was never counted is 0, not absent
            if metric.kind == "counter" and not metric.labels:
                self._counts[metric.name][()] = 0.0
        for metric, known in _KNOWN_LABELS.items():  # so that the first one is an increase
            for labels in known:
                self._counts[metric.name][labels] = 0.0
        self._counts[m.BUILD_INFO.name][program_version(),] = 1.0

    def _add(self, metric: m.Metric, *labels: str, by: float = 1) -> None:
        self._counts[metric.name][labels] += by

    def expect(self, servers: Iterable[str], tasks: Iterable[str]) -> None:
        """Show what will be counted of these servers and tasks as 0, from the start."""
        names = tuple(tasks)
        for task in names:
            for outcome in ("recovered", "given_up"):
                self._counts[m.UNREADABLE.name].setdefault((task, outcome), 0.0)
        for server in servers:
            for task in names:
                for outcome in _OUTCOMES:
                    self._requests.setdefault((server, task, outcome), 0.0)

    def expect_second(self, first: Iterable[str], second: Iterable[str]) -> None:
        """Show what will be counted of these two models' servers, from the start."""
        for upstream, servers in (("first", first), ("second", second)):
            self._counts[m.MODEL_PROMPTS.name].setdefault((upstream,), 0.0)
            for server in servers:
                self._counts[m.UPSTREAM.name][server, upstream] = 1.0
        for opinion in ("both", "first", "second"):
            self._counts[m.OPINIONS.name].setdefault((opinion,), 0.0)
        for reason in ("late", "busy", "unavailable", "unreadable"):
            self._counts[m.SECOND_MISSING.name].setdefault((reason,), 0.0)

    # ---- the service (`consumer.telemetry.observer.Observer`)

    def batch_closed(self, reason: BatchClosed, records: int, nbytes: int) -> None:  # noqa: ARG002
        """Count what closed it, and its size."""
        self._add(m.BATCHES, reason)
        self._histograms[m.BATCH_POSTS.name].observe(records)

    def batch_finished(self, records: int, seconds: float) -> None:  # noqa: ARG002
        """Count its time."""
        self._histograms[m.BATCH_SECONDS.name].observe(seconds)

    def events_published(self, records: Sequence[Record], now: float) -> None:
        """Count the events, and how long each took."""
        self._counts[m.EVENTS.name][()] += len(records)
        self._latency.observe_all([now - record.received_at for record in records])
        self._age.observe_all(
            [
                max(0.0, now - record.timestamp_ms / 1000)
                for record in records
                if record.timestamp_ms >= 0
            ]
        )

    def dead_letter(self, stage: str, class_name: str) -> None:
        """Count it by stage and class."""
        self._add(m.DEAD_LETTERS, stage, class_name)

    def skipped(self, rule: str, records: int) -> None:
        """Count them by rule."""
        self._add(m.SKIPPED, rule, by=records)

    def committed(self, partitions: int, records: int) -> None:  # noqa: ARG002
        """Count the commit and its records."""
        self._add(m.COMMITS)
        self._add(m.COMMITTED, by=records)

    def commit_failed(self, kind: CommitFailure) -> None:
        """Count it by kind."""
        self._add(m.COMMIT_FAILURES, kind)

    def transaction_committed(self, records: int, seconds: float) -> None:  # noqa: ARG002
        """Count it, and its time."""
        self._add(m.TRANSACTIONS, "committed")
        self._histograms[m.TRANSACTION_SECONDS.name].observe(seconds)

    def transaction_aborted(self) -> None:
        """Count it."""
        self._add(m.TRANSACTIONS, "aborted")

    def transaction_fenced(self) -> None:
        """Count it."""
        self._add(m.TRANSACTIONS, "fenced")

    def rebalanced(self, assigned: int) -> None:  # noqa: ARG002 - the snapshot has the number
        """Count it."""
        self._add(m.REBALANCES)

    def revoked(self, partitions: int, abandoned: int, seconds: float) -> None:  # noqa: ARG002
        """Count the time, and what was left undone."""
        self._histograms[m.REVOKE_SECONDS.name].observe(seconds)
        self._add(m.ABANDONED, by=abandoned)

    def paused(self, reason: PauseReason) -> None:
        """Count it by reason."""
        self._add(m.PAUSES, reason)

    def resumed(self) -> None:
        """Nothing to count: the snapshot tells."""

    def late_finish(self, records: int) -> None:
        """Count the records."""
        self._add(m.LATE, by=records)

    def consumer_restarted(self) -> None:
        """Count it."""
        self._add(m.RESTARTS)

    def bad_batch(self) -> None:
        """Count the try."""
        self._add(m.BAD_BATCHES)

    def taken_away(self, records: int) -> None:
        """Count the offsets."""
        self._add(m.TAKEN_AWAY, by=records)

    def topic_created_again(self) -> None:
        """Count it."""
        self._add(m.CREATED_AGAIN)

    def fuse_blown(self) -> None:
        """Remember it."""
        self._counts[m.FUSE.name][()] = 1.0

    # ---- the analysis (`consumer.analysis.inference.AnalysisObserver`)

    def answers(self, cached: int, shared: int, asked: int) -> None:
        """Count the answers by origin."""
        counts = self._counts[m.ANSWERS.name]
        counts["cache",] += cached
        counts["shared",] += shared
        counts["model",] += asked

    def unreadable(self, task: str, recovered: int, given_up: int) -> None:
        """Count them by task and by what came of it."""
        self._add(m.UNREADABLE, task, "recovered", by=recovered)
        self._add(m.UNREADABLE, task, "given_up", by=given_up)

    def unreadable_times(self, posts: int) -> None:
        """Count them."""
        self._add(m.UNREADABLE_TIMES, by=posts)

    def analysed(self, posts: int, prompts: int) -> None:
        """Count the posts and their prompts."""
        self._add(m.ANALYSED, by=posts)
        self._add(m.PROMPTS, by=prompts)

    # ---- two models (`consumer.analysis.second_opinion.OpinionObserver`)

    def opinion(self, whose: str, first_prompts: int, second_prompts: int) -> None:
        """Count the event by whose it is, and the prompts by model."""
        self._add(m.OPINIONS, whose)
        self._add(m.MODEL_PROMPTS, "first", by=first_prompts)
        self._add(m.MODEL_PROMPTS, "second", by=second_prompts)

    def second_missing(self, reason: str) -> None:
        """Count it by reason."""
        self._add(m.SECOND_MISSING, reason)

    def shed(self) -> None:
        """Count the post."""
        self._add(m.SHED)

    def shed_share(self, share: float) -> None:
        """Remember it."""
        self._counts[m.SHED_SHARE.name][()] = share

    def agreement(self, correlation: float) -> None:
        """Remember it."""
        self._counts[m.CORRELATION.name]["V-reg",] = correlation

    # ---- the model servers (`emollm.pool.PoolObserver`)

    def on_request(self, server: str, task: str, outcome: str, seconds: float) -> None:
        """Count it, and its time where it was answered."""
        self.last_answer = self._monotonic()
        self._requests[server, task, outcome] += 1
        if outcome == "answered":
            histogram = self._request_seconds.get(server)
            if histogram is None:
                histogram = self._request_seconds[server] = _Histogram(m.REQUEST_SECONDS)
            histogram.observe(seconds)

    def on_limit(self, server: str, limit: int) -> None:
        """Remember it."""
        self._counts[m.LIMIT.name][server,] = limit

    def on_breaker(self, server: str, state: BreakerState) -> None:
        """Remember it."""
        self._counts[m.BREAKER.name][server,] = _BREAKER[state]

    # ---- the schema registry (`runtime.registry.client.Observer`)

    def registry_asked(self, outcome: Outcome) -> None:
        """Count it."""
        self._add(m.REGISTRY_REQUESTS, outcome)

    # ---- the scrape

    def collect(self) -> Iterator[Family]:
        """Make Prometheus' own form of all that was counted."""
        self._take_state()
        for metric in m.ALL:
            if metric.kind == "histogram":
                yield self._histogram_family(metric)
                continue
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in self._counts[metric.name].items():
                family.add_metric(labels, value)
            yield family

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """Give the body and content type of `/metrics`, as the scraper's Accept header wants it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    @property
    def registry(self) -> CollectorRegistry:
        """What is counted here, and the process's own: CPU, memory, open files."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        ProcessCollector(registry=registry)
        return registry

    def value(self, metric: m.Metric, *labels: str) -> float:
        """The value of a counter or gauge; 0 where it was never counted."""
        return self._counts[metric.name].get(labels, 0.0)

    def _histogram_family(self, metric: m.Metric) -> Family:
        family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        found: Iterable[tuple[tuple[str, ...], _Histogram]]
        if metric.labels:
            found = [((server,), one) for server, one in self._request_seconds.items()]
        else:
            found = [((), self._histograms[metric.name])]
        for labels, histogram in found:
            family.add_metric(labels, histogram.cumulative(), histogram.total)
        return family

    def _take_state(self) -> None:
        """Take the gauges from the service's snapshot, the cache and the pool."""
        counts = self._counts
        counts[m.TASKS.name][()] = _tasks_alive()
        if self.cache_size is not None:
            entries, nbytes = self.cache_size()
            counts[m.CACHE_ENTRIES.name][()] = entries
            counts[m.CACHE_BYTES.name][()] = nbytes
        self._take_spans()
        if self.model is not None:
            labels = (self.model.model_id, self.model.model_revision or "")
            counts[m.INFO.name][labels] = 1.0
        counts[m.REGISTRY_WAITING.name][()] = float(self.registry_waiting())
        if self.second_available is not None:
            counts[m.SECOND_AVAILABLE.name]["second",] = float(self.second_available())
        if self.snapshot is None:
            counts[m.READY.name][()] = 0.0
            return
        state = self.snapshot()
        lags = counts[m.LAG.name]
        lags.clear()  # partitions come and go
        for one in state.partitions:
            if one.lag is not None:
                lags[one.topic, str(one.partition)] = one.lag
        paused = counts[m.PAUSED.name]
        held = {one.held for one in state.partitions}
        for reason in ("records", "bytes", "unavailable", "window", "bad_batch"):
            paused[reason,] = float(state.paused == reason or reason in held)
        for metric, value in (
            (m.CONSUMED, state.consumed),
            (m.IN_FLIGHT_POSTS, state.in_flight_records),
            (m.IN_FLIGHT_BYTES, state.in_flight_bytes),
            (m.IN_FLIGHT_BATCHES, state.batches),
            (m.OLDEST_IN_FLIGHT, state.oldest_in_flight_s),
            (m.PARTITIONS, len(state.partitions)),
            (m.PARTITIONS_NOT_BEGUN, len(state.not_begun)),
            (m.AVAILABLE, state.available),
            (m.READY, state.ready),
        ):
            counts[metric.name][()] = float(value)

    def _take_spans(self) -> None:
        """Take what became of traces' spans."""
        for outcome, spans in (self.spans() if self.spans is not None else {}).items():
            if outcome == "exported":
                self._counts[m.SPANS.name][()] = spans
            else:
                self._counts[m.SPANS_DROPPED.name][outcome,] = spans


_KNOWN_LABELS: dict[m.Metric, tuple[tuple[str, ...], ...]] = {
    m.DEAD_LETTERS: tuple((stage.value, reason.value) for stage, reason in KNOWN),
    m.SKIPPED: tuple((rule,) for rule in SKIP_RULES),
    m.BATCHES: tuple((reason,) for reason in get_args(BatchClosed)),
    m.SPANS_DROPPED: tuple((reason,) for reason in ("queue_full", "failed", "abandoned")),
    m.PAUSES: tuple((reason,) for reason in get_args(PauseReason)),
    m.COMMIT_FAILURES: tuple((kind,) for kind in get_args(CommitFailure)),
    m.TRANSACTIONS: (("committed",), ("aborted",), ("fenced",)),
    m.ANSWERS: (("cache",), ("shared",), ("model",)),
    m.REGISTRY_REQUESTS: tuple((outcome,) for outcome in get_args(Outcome)),
}
"""Labels that are known before they are counted."""

_OUTCOMES = (
    "answered",
    *(
        error.__name__
        for error in (Overloaded, GenerationFailed, Unavailable, TimedOut, Refused, Unauthorized)
    ),
)
"""What a request may come to; rarer ones (`WrongRequest`, a crash) appear with their first."""


def program_version() -> str:
    """Give the version of emostream that runs."""
    try:
        return version("emostream")
    except PackageNotFoundError:  # run from a folder that isn't installed
        return "unknown"


def _tasks_alive() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # scraped outside of the service's loop: there are none
        return 0
