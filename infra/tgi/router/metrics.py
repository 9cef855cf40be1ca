"""/metrics under the names of TGI's router, so that TGI's dashboards work.

prometheus-client would write `tgi_request_count_total`; TGI writes `tgi_request_count`. Hence
these few lines of our own. All of it runs on the event loop's thread, so nothing is locked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

#: Seconds, TGI's own buckets: powers of 1.5 from 0.1 ms up to about two minutes.
_SECONDS = tuple(0.0001 * 1.5**n for n in range(36))
#: ModelTokenizer and prompts: powers of 2 up to a long context.
_COUNTS = tuple(float(2**n) for n in range(15))


class Counter:
    """Counts up, by label where it has one."""

    def __init__(self, name: str, meaning: str, label: str | None = None) -> None:
        self.name = name
        self.meaning = meaning
        self._label = label
        self._values: dict[str, float] = {} if label else {"": 0.0}

    def add(self, amount: float = 1.0, label: str = "") -> None:
        """Count."""
        self._values[label] = self._values.get(label, 0.0) + amount

    def lines(self) -> list[str]:
        """In Prometheus's text format."""
        out = [f"# HELP {self.name} {self.meaning}", f"# TYPE {self.name} counter"]
        for label, value in self._values.items():
            labels = f'{{{self._label}="{label}"}}' if self._label else ""
            out.append(f"{self.name}{labels} {value:g}")
        return out


class Gauge:
    """A value that goes up and down."""

    def __init__(self, name: str, meaning: str) -> None:
        self.name = name
        self.meaning = meaning
        self.value = 0.0

    def lines(self) -> list[str]:
        """In Prometheus's text format."""
        return [
            f"# HELP {self.name} {self.meaning}",
            f"# TYPE {self.name} gauge",
            f"{self.name} {self.value:g}",
        ]


class Histogram:
    """How values are spread."""

    def __init__(
        self, name: str, meaning: str, buckets: Sequence[float] = _SECONDS, labels: str = ""
    ) -> None:
        self.name = name
        self.meaning = meaning
        self._labels = labels
        self._buckets = buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0

    def record(self, value: float) -> None:
        """Take one value."""
        self._counts[bisect_left(self._buckets, value)] += 1
        self._sum += value

    def lines(self) -> list[str]:
        """In Prometheus's text format."""
        comma = "," if self._labels else ""
        braces = f"{{{self._labels}}}" if self._labels else ""
        out = [f"# HELP {self.name} {self.meaning}", f"# TYPE {self.name} histogram"]
        total = 0
        for bucket, count in zip((*self._buckets, float("inf")), self._counts, strict=True):
            total += count
            edge = "+Inf" if bucket == float("inf") else f"{bucket:g}"
            out.append(f'{self.name}_bucket{{{self._labels}{comma}le="{edge}"}} {total}')
        out.append(f"{self.name}_sum{braces} {self._sum:g}")
        out.append(f"{self.name}_count{braces} {total}")
        return out


class Metrics:
    """All of the server's metrics."""

    def __init__(self) -> None:
        self.requests = Counter("tgi_request_count", "Requests received")
        self.successes = Counter("tgi_request_success", "Requests answered")
        self.failures = Counter("tgi_request_failure", "Requests refused or failed", "err")
        self.duration = Histogram("tgi_request_duration", "Seconds from request to answer")
        self.validation = Histogram(
            "tgi_request_validation_duration", "Seconds to check and tokenize a request"
        )
        self.waiting = Histogram("tgi_request_queue_duration", "Seconds a request waited")
        self.inference = Histogram(
            "tgi_request_inference_duration", "Seconds the engine took for a request"
        )
        self.per_token = Histogram(
            "tgi_request_mean_time_per_token_duration", "Seconds per token of an answer"
        )
        self.generated = Histogram("tgi_request_generated_tokens", "Tokens of an answer", _COUNTS)
        self.input_length = Histogram("tgi_request_input_length", "Tokens of a prompt", _COUNTS)
        self.max_new_tokens = Histogram(
            "tgi_request_max_new_tokens", "Tokens asked for at most", _COUNTS
        )
        self.queue_size = Gauge("tgi_queue_size", "Prompts waiting")
        self.batch_size = Gauge("tgi_batch_current_size", "Prompts in the current batch")
        self.batch_tokens = Gauge(
            "tgi_batch_current_max_tokens", "Most tokens the current batch can come to"
        )
        self.next_size = Histogram("tgi_batch_next_size", "Prompts of a batch", _COUNTS)
        whole = 'method="prefill"'
        self.batches = Counter("tgi_batch_inference_count", "Batches begun", "method")
        self.batch_successes = Counter("tgi_batch_inference_success", "Batches done", "method")
        self.batch_failures = Counter("tgi_batch_inference_failure", "Batches failed", "method")
        self.batch_duration = Histogram(
            "tgi_batch_inference_duration", "Seconds of a batch", labels=whole
        )
        self.forward_duration = Histogram(
            "tgi_batch_forward_duration", "Seconds of a batch in the model", labels=whole
        )

    def text(self) -> str:
        """The page."""
        lines: list[str] = []
        for metric in vars(self).values():
            lines.extend(metric.lines())
        return "\n".join(lines) + "\n"
