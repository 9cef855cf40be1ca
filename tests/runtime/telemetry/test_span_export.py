"""A collector that hangs, refuses or is away costs spans, which are counted, and nothing else."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from runtime.telemetry import collector_connection
from runtime.telemetry.otlp import OtlpTracer
from runtime.telemetry.span_export import EXPORT_SPANS, SpanExport, make_exporter
from tests.collector import Collector, attributes
from tests.polling import until
from tests.raw_http import Behaviour, Connection, RawServer, Request
from tests.refusing import refusing_port

SECRET = "sekrit-of-the-collector"


class Exporter(SpanExporter):
    """One that the test commands. Its requests wait while `gate` is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self.result = SpanExportResult.SUCCESS
        self.error: Exception | None = None
        self.batches: list[int] = []
        self.shut_down = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.began.set()
        self.gate.wait(20)
        self.batches.append(len(spans))
        if self.error is not None:
            raise self.error
        return self.result

    def shutdown(self) -> None:
        self.shut_down += 1
        self.gate.set()


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    yield made
    made.gate.set()


def finish(export: SpanExport, count: int) -> None:
    """Have so many spans finish."""
    tracer = OtlpTracer(export, service="s", version="1", sample_ratio=1.0, follow_links=True)
    for number in range(count):
        tracer.begin(f"span {number}", "client", {"n": number}, ()).end({})


async def began(exporter: Exporter) -> None:
    assert await asyncio.to_thread(exporter.began.wait, 20)


@asynccontextmanager
async def exporting_to(
    url: str, *, answer_s: float | None = None, **headers: str
) -> AsyncIterator[SpanExport]:
    exporter, collector = make_exporter(f"{url}/v1/traces", headers, None, answer_s=answer_s)
    export = SpanExport(exporter, came=lambda: collector.came, every_s=0.01)
    try:
        yield export
    finally:
        await export.aclose(60)  # more than a busy machine takes for what a test waits for


async def came(export: SpanExport, what: str) -> None:
    """Wait until the last request came to this: then the log can say so."""
    await until(lambda: export._came() == what)


async def test_spans_reach_the_collector_with_the_headers_that_it_wants() -> None:
    async with Collector() as collector:
        async with exporting_to(collector.url, authorization=f"Bearer {SECRET}") as export:
            finish(export, 3)
            await collector.until(lambda: len(collector.spans) == 3)
        assert {span.name for span in collector.spans} == {"span 0", "span 1", "span 2"}
        assert attributes(collector.named("span 2")[0].attributes) == {"n": 2}
        assert all(one["authorization"] == f"Bearer {SECRET}" for one in collector.headers)
        assert export.counts == {"exported": 3, "queue_full": 0, "failed": 0, "abandoned": 0}


async def test_what_is_left_at_the_end_is_exported_before_it(exporter: Exporter) -> None:
    export = SpanExport(exporter, every_s=3_600)
    finish(export, 7)
    await export.aclose(20)
    assert export.counts["exported"] == sum(exporter.batches) == 7
    assert exporter.shut_down == 1


async def test_who_closes_it_again_while_its_thread_ends_waits_for_nothing(
    exporter: Exporter,
) -> None:
    """The thread had told of its end, once, and was still alive: nobody told the second one."""
    gone = threading.Event()

    class Lingering(SpanExport):
        def _run(self) -> None:
            super()._run()
            gone.wait(20)

    export = Lingering(exporter, every_s=3_600)
    finish(export, 1)
    await export.aclose(20)
    async with asyncio.timeout(10):
        await export.aclose(60)
    gone.set()
    assert export.counts == {"exported": 1, "queue_full": 0, "failed": 0, "abandoned": 0}


async def test_many_are_exported_in_requests_of_bounded_size(exporter: Exporter) -> None:
    exporter.gate.clear()
    export = SpanExport(exporter, every_s=3_600)
    finish(export, 2 * EXPORT_SPANS + 1)
    await began(exporter)  # a full request's worth wakes it, whatever the hour
    exporter.gate.set()
    await export.aclose(20)
    assert max(exporter.batches) == EXPORT_SPANS
    assert sum(exporter.batches) == 2 * EXPORT_SPANS + 1


async def test_past_a_bound_spans_are_dropped_at_once_and_counted(exporter: Exporter) -> None:
    exporter.gate.clear()
    export = SpanExport(exporter, every_s=0.001, queue_spans=5)
    finish(export, 1)
    await began(exporter)
    with capture_logs() as logs:
        finish(export, 5 + 12)
        assert export.counts["queue_full"] == 12
        exporter.gate.set()
        await export.aclose(20)
    assert export.counts["exported"] == 6
    (line,) = [entry for entry in logs if entry["event"] == "spans_dropped"]
    assert (line["spans"], line["reason"]) == (12, "queue_full")


async def test_a_collector_that_hangs_at_the_end_is_waited_for_no_longer_than_said(
    exporter: Exporter,
) -> None:
    exporter.gate.clear()
    export = SpanExport(exporter, every_s=0.001)
    finish(export, 3)
    await began(exporter)
    before = time.monotonic()
    with capture_logs() as logs:
        await export.aclose(0.05)
    assert time.monotonic() - before < 30
    assert export.counts["abandoned"] == 3
    assert [entry["spans"] for entry in logs if entry["event"] == "spans_dropped"] == [3]
    finish(export, 1)
    assert export.counts["abandoned"] == 4


async def test_a_request_that_ends_just_when_it_is_given_up_is_counted_once(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its spans were in no count at all, or in two."""
    held, returned, closed = {"spans": 0}, threading.Event(), threading.Event()

    def hold(_: SpanExport, spans: int) -> None:
        before, held["spans"] = held["spans"], spans
        if before and not spans:  # the thread has let go of them, and stands still before it counts
            returned.set()
            closed.wait(0.5)  # whoever waits for the thread meanwhile gets no further

    monkeypatch.setattr(
        SpanExport, "_in_hand", property(lambda _: held["spans"], hold), raising=False
    )
    export = SpanExport(exporter, every_s=0.001)
    finish(export, 3)
    assert await asyncio.to_thread(returned.wait, 20)
    await export.aclose(0)
    closed.set()
    await export.aclose(20)
    assert sum(export.counts.values()) == 3


async def test_it_is_told_once_a_minute_that_spans_are_lost_and_once_that_they_are_not(
    exporter: Exporter,
) -> None:
    now = 100.0
    export = SpanExport(exporter, came=lambda: "HTTP 503", monotonic=lambda: now, every_s=0.001)

    async def lose(spans: int) -> None:
        failed = export.counts["failed"]
        finish(export, spans)
        await until(lambda: export.counts["failed"] == failed + spans)

    with capture_logs() as logs:
        exporter.result = SpanExportResult.FAILURE
        for _ in range(5):
            await lose(1)
        now = 161.0
        await lose(2)
        exporter.result = SpanExportResult.SUCCESS
        finish(export, 1)
        await until(lambda: export.counts["exported"] == 1)
        await export.aclose(20)
    told = [(entry["event"], entry.get("spans"), entry.get("came")) for entry in logs]
    assert told[0] == ("spans_dropped", 1, "HTTP 503")
    assert sum(spans or 0 for event, spans, _ in told if event == "spans_dropped") == 7
    assert len(told) <= 4  # each minute's, and the end of it
    assert told[-1][0] == "spans_exported_again"


async def test_an_exporter_that_raises_costs_its_spans_alone(exporter: Exporter) -> None:
    exporter.error = RuntimeError(f"a text with {SECRET}")
    export = SpanExport(exporter, every_s=0.001)
    with capture_logs() as logs:
        finish(export, 1)
        await until(lambda: export.counts["failed"] == 1)
        exporter.error = None
        finish(export, 1)
        await until(lambda: export.counts["exported"] == 1)
        await export.aclose(20)
    assert SECRET not in repr(logs)


@pytest.mark.parametrize("status", [400, 401, 500, 503])
async def test_a_collector_that_refuses_costs_spans_and_its_words_stay_out_of_the_log(
    status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    async with Collector(status=status) as collector:
        with capture_logs() as logs:
            async with exporting_to(collector.url, authorization=SECRET) as export:
                finish(export, 2)
                await came(export, f"HTTP {status}")
                await export.aclose(0.5)
        assert export.counts["exported"] == 0
        assert export.counts["failed"] + export.counts["abandoned"] == 2
    said = repr(logs) + "".join(capfd.readouterr())
    assert f"HTTP {status}" in said
    assert SECRET not in said


async def test_a_redirect_is_not_followed_and_its_spans_are_lost() -> None:
    async with Collector() as other, Collector(status=307) as collector:
        collector.location = f"{other.url}/v1/traces"
        async with exporting_to(collector.url, authorization=SECRET) as export:
            finish(export, 1)
            await until(lambda: export.counts["failed"] == 1)
        assert other.requests == 0


async def test_a_collector_that_is_away_costs_spans(capfd: pytest.CaptureFixture[str]) -> None:
    with refusing_port() as port, capture_logs() as logs:
        async with exporting_to(f"http://127.0.0.1:{port}") as export:
            finish(export, 1)
            await came(export, "ConnectionError")
            await export.aclose(0.5)
    assert export.counts["failed"] + export.counts["abandoned"] == 1
    assert "ConnectionError" in repr(logs)
    assert "urllib3" not in "".join(capfd.readouterr())


def dripping(head: bytes) -> Behaviour:
    async def drip(_: Request, connection: Connection) -> None:
        await connection.write(head)
        with suppress(ConnectionError):
            while True:
                await connection.write(b"x")
                await asyncio.sleep(0.02)  # the server's pace

    return drip


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 503 No\r\ncontent-length: 99999\r\n\r\n"]
)
async def test_a_collector_whose_answer_drips_is_left_and_told_of(head: bytes) -> None:
    """It held the thread for good: all later spans were lost, and the log said nothing."""
    async with RawServer(dripping(head)) as server:
        with capture_logs() as logs:
            async with exporting_to(server.url, answer_s=0.3) as export:
                finish(export, 1)  # several may go in one request or in two
                await until(lambda: export.counts["failed"] == 1)
    (line,) = [entry for entry in logs if entry["event"] == "spans_dropped"]
    assert (line["spans"], line["reason"], line["came"]) == (1, "failed", "ReadTimeout")


async def test_a_collector_that_is_reached_once_its_time_is_up_is_left_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There was no connection to end when the time was over, and none ended later."""
    up = threading.Event()
    end = collector_connection.Collector._end
    connected = collector_connection.Collector._connected

    def ended(collector: collector_connection.Collector, late: threading.Event) -> None:
        end(collector, late)
        up.set()

    def held_up(collector: collector_connection.Collector, one: socket.socket) -> None:
        assert up.wait(20)
        up.clear()
        connected(collector, one)

    monkeypatch.setattr(collector_connection.Collector, "_end", ended)
    monkeypatch.setattr(collector_connection.Collector, "_connected", held_up)
    async with RawServer(dripping(b"HTTP/1.1 200 OK\r\nx: ")) as server:
        with capture_logs() as logs:
            async with exporting_to(server.url, answer_s=0.1) as export:
                finish(export, 1)
                await until(lambda: export.counts["failed"] == 1)
    (line,) = [entry for entry in logs if entry["event"] == "spans_dropped"]
    assert (line["spans"], line["reason"], line["came"]) == (1, "failed", "ReadTimeout")
