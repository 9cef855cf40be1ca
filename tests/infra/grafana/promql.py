"""What a PromQL expression names, and what there is to name."""

import re
from typing import NamedTuple

import promql_parser as promql

from consumer.telemetry import metrics
from monitor.telemetry import metrics as monitor_metrics
from producer.live import metrics as live_metrics

OF_THE_PROCESS = (
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
)
"""What prometheus-client exports of each process."""

OF_THE_SCRAPE = {"job", "instance"}
"""Labels that Prometheus adds."""


class Named(NamedTuple):
    """A metric with the labels that select it."""

    metric: str
    labels: frozenset[str]


def known() -> dict[str, set[str]]:
    """Each series that a program of ours exposes, with its labels."""
    found: dict[str, set[str]] = {name: set() for name in OF_THE_PROCESS}
    for ours in metrics.ALL:
        if ours.kind == "histogram":
            found[f"{ours.name}_bucket"] = {*ours.labels, "le"}
            found[f"{ours.name}_sum"] = found[f"{ours.name}_count"] = set(ours.labels)
        else:
            found[ours.name] = set(ours.labels)
    for theirs in (*monitor_metrics.ALL, *live_metrics.ALL):
        found[theirs.name] = set(theirs.labels)
    return {name: labels | OF_THE_SCRAPE for name, labels in found.items()}


def filled(expr: str, *, interval: str = "5m") -> str:
    """The expression as Grafana sends it: its variables replaced."""
    text = expr.replace("$__rate_interval", interval)
    return re.sub(r"\$(\w+)", ".*", text)


def named(expr: str) -> list[Named]:
    """Every metric of an expression, each with the labels of its selector and of aggregations."""
    selectors: list[promql.VectorSelector] = []
    grouped: set[str] = set()

    def visit(one: promql.Expr) -> None:
        if isinstance(one, promql.VectorSelector):
            selectors.append(one)
        elif isinstance(one, promql.AggregateExpr) and one.modifier is not None:
            grouped.update(one.modifier.labels)

    promql.walk(promql.parse(expr), visit)
    return [
        Named(one.name or "", frozenset({m.name for m in one.matchers.matchers} | grouped))
        for one in selectors
    ]
