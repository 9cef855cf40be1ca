"""A metric as a program declares it, and how all of them are counted and exposed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector


class Declared(msgspec.Struct, frozen=True):
    """A counter or a gauge. Names follow Prometheus: base units, `_total` for counters."""

    name: str
    kind: Literal["counter", "gauge"]
    meaning: str
    labels: tuple[str, ...] = ()


class Counts(Collector):
    """Plain numbers by metric and labels: everything runs on one event loop."""

    def __init__(self, metrics: Sequence[Declared]) -> None:
        self._metrics = tuple(metrics)
        self._values: dict[str, defaultdict[tuple[str, ...], float]] = {
            metric.name: defaultdict(float) for metric in metrics
        }
        for metric in metrics:  # a counter that was never counted is 0, not absent
            if metric.kind == "counter" and not metric.labels:
                self._values[metric.name][()] = 0.0

    def add(self, metric: Declared, *labels: str, by: float = 1) -> None:
        """Count."""
        self._values[metric.name][labels] += by

    def put(self, metric: Declared, *labels: str, value: float) -> None:
        """Set a gauge, or a counter that is counted elsewhere."""
        self._values[metric.name][labels] = value

    def clear(self, metric: Declared) -> None:
        """Forget a gauge's labels: they come and go."""
        self._values[metric.name].clear()

    def value(self, metric: Declared, *labels: str) -> float:
        """Its value; 0 where it was never counted."""
        return self._values[metric.name].get(labels, 0.0)

    def collect(self) -> Iterator[Family]:
        """Make Prometheus' own form of all that was counted."""
        for metric in self._metrics:
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in self._values[metric.name].items():
                family.add_metric(labels, value)
            yield family

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """Give the body and content type of `/metrics`, as the scraper's Accept header wants it."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        ProcessCollector(registry=registry)
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type


def to_markdown(metrics: Sequence[Declared]) -> str:
    """The table of these metrics for the documentation."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{name}`' for name in metric.labels)}"
        f" | {metric.meaning} |"
        for metric in metrics
    ]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows]) + "\n"
