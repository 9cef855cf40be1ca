"""Finished spans on their way to the collector: a bounded queue and a thread of its own.

OpenTelemetry's own processor drops without telling whoever runs the program how much. Here a
collector that hangs, refuses or answers 503 costs spans, which are counted, and nothing else.
"""

import asyncio
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, TypeAlias, get_args

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from runtime.clock import SystemClock
from runtime.telemetry import log_events
from runtime.telemetry.collector_connection import Collector

Outcome: TypeAlias = Literal["exported", "queue_full", "failed", "abandoned"]
"""Of a finished span; all but the first mean that it is lost."""

QUEUE_SPANS: Final = 4_096
"""Waiting at most: some 10 MB, and twenty seconds of a whole GPU's requests, all recorded."""
EXPORT_SPANS: Final = 512
"""In one request to the collector: OpenTelemetry's default."""
EXPORT_EVERY_S: Final = 5.0
"""A span is seen so soon: OpenTelemetry's default. A request costs milliseconds of CPU whatever it
holds, and each second was too often at a hundred posts a second."""
TELL_EVERY_S: Final = 60.0
"""A collector that is away is worth a line a minute."""

_log = structlog.get_logger(__name__)


def make_exporter(
    url: str, headers: dict[str, str], ca_file: str | None, *, answer_s: float | None = None
) -> tuple[SpanExporter, Collector]:
    """Make the exporter to this URL, path included, and the connection that it uses.

    An answer has `answer_s` seconds; by default OpenTelemetry's 10.
    """
    # What it says of each try, `SpanExport` says seldom, and without what the collector wrote.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    collector = Collector()
    exporter = OTLPSpanExporter(
        endpoint=url,
        headers=headers,
        certificate_file=ca_file,
        session=collector,
        timeout=answer_s,
    )
    return exporter, collector


class SpanExport(SpanProcessor):
    """Takes finished spans from the event loop, exports them from a thread."""

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        came: Callable[[], str] = lambda: "",
        monotonic: Callable[[], float] = SystemClock.monotonic,
        queue_spans: int = QUEUE_SPANS,
        every_s: float = EXPORT_EVERY_S,
    ) -> None:
        """`came` says what came of the exporter's last request. Starts its thread at once."""
        self._exporter = exporter
        self._came = came
        self._monotonic = monotonic
        self._most = queue_spans
        self._every_s = every_s
        self._queue: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._given_up = False
        self._in_hand = 0
        """Spans of the request under way."""
        self._hands = threading.Lock()
        """Held for a moment while spans move, so that `aclose` finds each of them either in the
        queue, in hand or counted."""
        self._failing = False
        self._tell_at = -float("inf")
        self._told_dropped = 0
        self._over = False
        """Whether the thread has told of its end, or is about to: it is alive for a moment yet."""
        self._ended: Callable[[], None] = lambda: None
        self.counts: Counter[Outcome] = Counter(dict.fromkeys(get_args(Outcome), 0))
        """Finished spans by what became of them. Each key is counted by one thread alone."""
        # A daemon: a collector that hangs doesn't keep the process.
        self._thread = threading.Thread(target=self._run, name="emostream-spans", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        """Take a finished span, or drop it: never waits."""
        if self._closing or len(self._queue) >= self._most:
            self.counts["abandoned" if self._closing else "queue_full"] += 1
            return
        self._queue.append(span)
        if len(self._queue) == EXPORT_SPANS:
            self._wake.set()

    async def aclose(self, within_s: float) -> None:
        """Export what is left, for up to `within_s` seconds; what isn't by then is abandoned."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        self._ended = tell
        self._closing = True
        self._wake.set()
        if self._over or not self._thread.is_alive():
            ended.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await ended.wait()
        with self._hands:
            left = len(self._queue) + self._in_hand
            self._queue.clear()
            self._in_hand = 0
            self._given_up = not ended.is_set()
        if self._given_up:
            self._exporter.shutdown()  # ends its pauses between two tries
        self.counts["abandoned"] += left
        if left:
            _log.warning(log_events.SPANS_DROPPED, spans=left, reason="stopped", came=self._came())

    # ---- the thread

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._every_s)
            self._wake.clear()
            self._export_all()
        self._export_all()
        self._exporter.shutdown()
        self._over = True
        self._ended()

    def _export_all(self) -> None:
        while batch := self._take():
            exported = self._export(batch)
            with self._hands:
                self._in_hand = 0
                if self._given_up:  # and counted
                    return
                self.counts["exported" if exported else "failed"] += len(batch)
            if not exported:
                self._failing = True
            elif self._failing:
                self._tell_at = -float("inf")
                self._tell()
                self._failing = False
                _log.info(log_events.SPANS_EXPORTED_AGAIN, dropped=self._dropped)
            self._tell()

    def _take(self) -> list[ReadableSpan]:
        """What goes into one request."""
        with self._hands:
            size = min(len(self._queue), EXPORT_SPANS)
            batch = [self._queue.popleft() for _ in range(size)]
            self._in_hand = size
        return batch

    def _export(self, batch: list[ReadableSpan]) -> bool:
        try:
            return self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception as error:  # noqa: BLE001 - a thread that ends would drop all that follow
            _log.error(log_events.SPANS_DROPPED, spans=len(batch), reason=type(error).__name__)
            return False

    def _tell(self) -> None:
        dropped = self._dropped
        now = self._monotonic()
        if dropped == self._told_dropped or now < self._tell_at:
            return
        self._tell_at = now + TELL_EVERY_S
        why = "failed" if self._failing else "queue_full"
        new, self._told_dropped = dropped - self._told_dropped, dropped
        _log.warning(log_events.SPANS_DROPPED, spans=new, reason=why, came=self._came())

    @property
    def _dropped(self) -> int:
        return self.counts["queue_full"] + self.counts["failed"]
