"""A batch's trace from the posts' producers to the events, at a collector of the tests' own."""

import asyncio
import json
import re
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from consumer import traces
from consumer.app import run
from consumer.options import Until
from consumer.settings import Settings, load
from consumer.traces import FLUSH_S
from runtime.errors import EXIT_MISCONFIGURED
from runtime.kafka.protocol import Partition
from runtime.telemetry.trace_context import TraceContext, read_trace_context
from schemas.headers import ERRORS_PREFIX
from tests.collector import Collector, attributes, traceparent
from tests.runtime.kafka.fake_kafka import FakeKafka, FakeRecord
from tests.tgi import FakeTgi, error_response

TEXT = "happy few"
HANDLE = "ann@example"
SECRET = "sekrit-of-the-collector"


@pytest.fixture(autouse=True)
def time_to_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that exports may be held up for longer than a consumer waits at its end."""
    monkeypatch.setattr(traces, "FLUSH_S", 60.0)


def producer(number: int, *, sampled: bool) -> TraceContext:
    return TraceContext((number + 1) << 64 | 7, number + 1, sampled)


class Posts:
    """Posts in a Kafka in memory, some with their producers' trace context."""

    def __init__(self, partitions: int = 1) -> None:
        self.kafka = FakeKafka({"posts": partitions, "affect.events": 1, "affect.dlq": 1})
        self.count = 0

    def add(
        self, *headers: tuple[str, bytes], value: bytes | None = None, partition: int = 0
    ) -> None:
        post = {
            "id": f"p{self.count}",
            "text": f"Number {self.count} of a {TEXT}.",
            "author": HANDLE,
        }
        log = self.kafka.logs[Partition("posts", partition)]
        log.append(None, json.dumps(post).encode() if value is None else value, headers)
        self.count += 1

    def records(self, topic: str) -> list[FakeRecord]:
        return self.kafka.logs[Partition(topic, 0)].records


async def consume(
    posts: Posts, tgi: FakeTgi, tracing: dict[str, Any], **sections: dict[str, Any]
) -> int:
    values: dict[str, Any] = {
        # Each request is a span: none may be given up, and asked again, on a busy machine.
        "model": {"servers": [tgi.url], "timeout_s": 50, "wait_s": 5},
        "output": {"author_key": "a-key-of-the-pseudonyms-0123"},
        "batch": {"max_wait_s": 0.05},
        "http": {"port": 0},
        "tracing": tracing,
    }
    return await run(
        Settings(**(values | sections)),
        until=Until(max_records=posts.count),
        signals=False,
        make_brokers=posts.kafka.brokers,
    )


def context_of(record: FakeRecord) -> TraceContext | None:
    assert [name for name, _ in record.headers].count("traceparent") <= 1
    return read_trace_context(record.headers)


async def test_a_batch_is_linked_to_its_producers_and_its_events_to_it() -> None:
    posts = Posts()
    contexts = [producer(number, sampled=bool(number % 2)) for number in range(3)]
    for context in contexts:
        posts.add(("traceparent", context.traceparent), ("tracestate", b"vendor=1"))
    posts.add(("traceparent", b"00-1"))
    async with FakeTgi() as tgi, Collector() as collector:
        tracing = {"endpoint": collector.url, "sample_ratio": 1, "headers": f"x-key={SECRET}"}
        with capture_logs() as logs:
            assert await consume(posts, tgi, tracing) == 0
    (batch,) = collector.named("process")
    assert batch.name == "process posts"
    assert batch.kind == batch.SPAN_KIND_CONSUMER
    assert batch.parent_span_id == b""
    linked = {(link.trace_id.hex(), link.span_id.hex()) for link in batch.links}
    assert linked == {(f"{one.trace_id:032x}", f"{one.span_id:016x}") for one in contexts}
    assert attributes(batch.attributes) == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "posts",
        "messaging.destination.partition.id": "0",
        "messaging.consumer.group.name": "emostream",
        "messaging.batch.message_count": 4,
        "messaging.kafka.offset": 0,
        "emostream.batch.positions": ["posts-0:0-3"],
        "emostream.batch.events": 4,
        "emostream.batch.dead_letters": 0,
        "emostream.batch.skipped": 0,
    }
    sends = collector.named("send affect.events")
    assert {traceparent(span) for span in sends} == {
        dict(record.headers)["traceparent"] for record in posts.records("affect.events")
    }
    for record in posts.records("affect.events"):
        assert context_of(record) is not None
        assert "tracestate" not in dict(record.headers)
    assert all(span.kind == span.SPAN_KIND_PRODUCER for span in sends)
    assert sum(attributes(s.attributes)["messaging.batch.message_count"] for s in sends) == 4
    requests = collector.named("text_completion")
    assert len(requests) == 12
    assert all(one.parent_span_id == batch.span_id for one in (*sends, *requests))
    assert len({span.trace_id for span in collector.spans}) == 1
    for one in collector.headers:
        assert one["x-key"] == SECRET
    for resource in collector.resources:
        assert resource["service.name"] == "emostream-consumer"
        assert resource["service.version"]
        assert resource["service.instance.id"]
    for body in collector.bodies:
        for leaked in (TEXT, HANDLE, SECRET, "joy, optimism", "Intensity"):
            assert leaked.encode() not in body
    assert SECRET not in repr(logs)


async def test_a_request_says_which_model_where_and_how_it_went() -> None:
    failures = Counter[str]()

    async def fail_once(request: web.Request) -> web.StreamResponse | None:
        if request.path != "/generate":
            return None
        prompt = (await request.json())["inputs"]
        failures[prompt] += 1
        return error_response(424) if TEXT in prompt and failures[prompt] == 1 else None

    posts = Posts()
    posts.add()
    async with FakeTgi(failure=fail_once) as tgi, Collector() as collector:
        assert await consume(posts, tgi, {"endpoint": collector.url, "sample_ratio": 1}) == 0
        port = int(tgi.url.rpartition(":")[2])
    requests = collector.named("text_completion lzw1008/Emollama-chat-7b")
    assert len(requests) == 6
    for span in requests:
        said = attributes(span.attributes)
        assert span.kind == span.SPAN_KIND_CLIENT
        assert said["gen_ai.operation.name"] == "text_completion"
        assert said["gen_ai.provider.name"] == "tgi"
        assert said["gen_ai.request.model"] == "lzw1008/Emollama-chat-7b"
        assert (said["server.address"], said["server.port"]) == ("127.0.0.1", port)
        assert said["emostream.task"] in {"V-reg", "E-c", "EI-reg"}
    failed = [span for span in requests if span.status.code == span.status.STATUS_CODE_ERROR]
    assert len(failed) == 3
    for span in failed:
        said = attributes(span.attributes)
        assert said["error.type"] == "GenerationFailed"
        assert said["http.response.status_code"] == 424
        assert "http.request.resend_count" not in said
    for span in requests:
        if span not in failed:
            assert attributes(span.attributes)["http.request.resend_count"] == 1


async def test_a_sampled_producer_has_its_post_recorded_and_no_other() -> None:
    posts = Posts()
    followed = producer(1, sampled=True)
    posts.add(("traceparent", producer(0, sampled=False).traceparent))
    posts.add(("traceparent", followed.traceparent))
    posts.add()
    async with FakeTgi() as tgi, Collector() as collector:
        assert await consume(posts, tgi, {"endpoint": collector.url, "sample_ratio": 0}) == 0
    (batch,) = collector.named("process")
    assert len(collector.named("text_completion")) == 3
    events = {json.loads(r.value or b"")["post_id"]: r for r in posts.records("affect.events")}
    recorded = context_of(events["p1"])
    assert recorded is not None
    assert recorded.sampled
    assert f"{recorded.trace_id:032x}" == batch.trace_id.hex()
    for post in ("p0", "p2"):
        context = context_of(events[post])
        assert context is not None
        assert not context.sampled
        assert f"{context.trace_id:032x}" == batch.trace_id.hex()


@pytest.mark.parametrize("follow", [True, False])
async def test_what_nobody_sampled_is_not_exported(follow: bool) -> None:
    posts = Posts()
    posts.add(("traceparent", producer(0, sampled=not follow).traceparent))
    posts.add()
    async with FakeTgi() as tgi, Collector() as collector:
        tracing = {"endpoint": collector.url, "sample_ratio": 0, "follow_producers": follow}
        assert await consume(posts, tgi, tracing) == 0
    assert collector.requests == 0
    for record in posts.records("affect.events"):
        context = context_of(record)
        assert context is not None
        assert not context.sampled


async def test_a_dead_letter_names_the_batch_that_it_comes_from() -> None:
    posts = Posts()
    posts.add(("traceparent", producer(0, sampled=False).traceparent), value=b"junk")
    posts.add(("own", b"1"), value=json.dumps({"id": "x" * 20_000, "text": "Fine."}).encode())
    posts.add()
    async with FakeTgi() as tgi, Collector() as collector:
        tracing = {"endpoint": collector.url, "sample_ratio": 1}
        output = {"author_key": "a-key-of-the-pseudonyms-0123", "max_event_bytes": 10_000}
        assert await consume(posts, tgi, tracing, output=output) == 0
    (batch,) = collector.named("process")
    assert attributes(batch.attributes)["emostream.batch.dead_letters"] >= 1
    stages = set()
    for record in posts.records("affect.dlq"):
        context = context_of(record)
        assert context is not None
        assert f"{context.trace_id:032x}" == batch.trace_id.hex()
        stages.add(dict(record.headers)[f"{ERRORS_PREFIX}stage"])
    assert stages == {b"decode", b"publish"}
    assert collector.named("send affect.dlq")


async def test_in_transactions_too_each_outcome_names_its_batch_and_a_skipped_post_is_counted() -> (
    None
):
    posts = Posts()
    posts.add()
    posts.add(value=b"junk")
    posts.kafka.logs[Partition("posts", 0)].append(b"deleted", None)
    posts.count += 1
    posts.add()
    delivery = {"guarantee": "exactly-once"}
    async with FakeTgi() as tgi, Collector() as collector:
        tracing = {"endpoint": collector.url, "sample_ratio": 1}
        assert await consume(posts, tgi, tracing, delivery=delivery) == 0
    spans = {span.span_id.hex(): span.name for span in collector.spans}
    names = []
    for topic in ("affect.events", "affect.dlq"):
        for record in posts.records(topic):
            context = context_of(record)
            assert context is not None
            names.append(spans[f"{context.span_id:016x}"])
    assert names == ["send affect.events", "send affect.events", "send affect.dlq"]
    said = [attributes(span.attributes) for span in collector.named("process")]
    assert sum(one["emostream.batch.skipped"] for one in said) == 1
    assert sum(one["emostream.batch.events"] for one in said) == 2


async def test_a_batch_of_several_partitions_says_where_each_was() -> None:
    posts = Posts(partitions=2)
    for number in range(6):
        posts.add(partition=number % 2)
    async with FakeTgi() as tgi, Collector() as collector:
        assert await consume(posts, tgi, {"endpoint": collector.url, "sample_ratio": 1}) == 0
    positions: list[str] = []
    for span in collector.named("process"):
        said = attributes(span.attributes)
        positions += said["emostream.batch.positions"]
        one = len(said["emostream.batch.positions"]) == 1
        assert ("messaging.destination.partition.id" in said) is one
        assert ("messaging.kafka.offset" in said) is one
    assert {place.partition(":")[0] for place in positions} == {"posts-0", "posts-1"}


async def test_a_collector_that_hangs_stops_no_post_and_holds_the_end_for_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traces, "FLUSH_S", FLUSH_S)
    posts = Posts()
    for _ in range(40):
        posts.add()
    async with FakeTgi() as tgi, Collector() as collector:
        collector.hangs = True
        with capture_logs() as logs:
            async with asyncio.timeout(20):
                assert (
                    await consume(posts, tgi, {"endpoint": collector.url, "sample_ratio": 1}) == 0
                )
    assert len(posts.records("affect.events")) == 40
    assert [entry for entry in logs if entry["event"] == "spans_dropped"]


async def test_without_an_endpoint_the_producers_context_is_handed_on_as_it_came() -> None:
    posts = Posts()
    posts.add(("traceparent", b"00-a-b-01"), ("tracestate", b"t=1"))
    async with FakeTgi() as tgi:
        assert await consume(posts, tgi, {}) == 0
    (record,) = posts.records("affect.events")
    assert dict(record.headers)["traceparent"] == b"00-a-b-01"
    assert dict(record.headers)["tracestate"] == b"t=1"


async def test_the_standards_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    posts = Posts()
    posts.add()
    async with FakeTgi() as tgi, Collector() as collector:
        assert await consume(posts, tgi, {"endpoint": collector.url, "sample_ratio": 1}) == 0
    assert collector.requests == 0


@pytest.mark.parametrize("given", ["x-key=sekrit", "sekrit"])
async def test_headers_of_the_variables_are_held_to_the_same_rules(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", given)
    posts = Posts()
    async with FakeTgi() as tgi:
        with capture_logs() as logs:
            status = await consume(posts, tgi, {"endpoint": "http://collector.example:4318"})
    assert status == EXIT_MISCONFIGURED
    assert "OTEL_EXPORTER_OTLP_HEADERS" in repr(logs)
    assert "sekrit" not in repr(logs)


async def test_a_missing_package_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in list(sys.modules):
        if name.startswith(("opentelemetry", "runtime.telemetry.otlp", "runtime.telemetry.span_")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    posts = Posts()
    async with FakeTgi() as tgi:
        with capture_logs() as logs:
            status = await consume(posts, tgi, {"endpoint": "http://127.0.0.1:1"})
    assert status == EXIT_MISCONFIGURED
    assert "pip install 'emostream[tracing]'" in repr(logs)


async def test_the_configuration_that_the_documentation_shows_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    posts = Posts()
    posts.add(("traceparent", producer(0, sampled=True).traceparent))
    async with FakeTgi() as tgi, Collector() as collector:
        config = tmp_path / "emostream.toml"
        assert "http://localhost:4318" in shown
        config.write_text(shown.replace("http://localhost:4318", collector.url), encoding="utf-8")
        server = {"EMOSTREAM_MODEL__SERVERS": tgi.url, "EMOSTREAM_HTTP__PORT": "0"}
        loaded = load(config, server)
        assert loaded.tracing.sample_ratio == 0.05
        assert await consume(posts, tgi, loaded.tracing.model_dump()) == 0
    assert len(collector.named("process")) == 1


_SCRIPT = """
import asyncio, sys
import emostream.command_line, emostream.commands.consume
from tests.consumer.test_traces import Posts, consume, FakeTgi
names = [name for name in sys.modules if name.startswith("opentelemetry")]
for name in names:  # the tests' own collector has them
    del sys.modules[name]
sys.modules["opentelemetry"] = None  # from here on an import fails

async def main():
    posts = Posts()
    posts.add()
    posts.add(value=b"junk")
    async with FakeTgi() as tgi:
        assert await consume(posts, tgi, {}) == 0
    assert posts.records("affect.events") and posts.records("affect.dlq")

asyncio.run(main())
print("consumed", [name for name in sys.modules if name.startswith("opentelemetry.")])
"""


def test_where_tracing_is_off_nothing_of_opentelemetry_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_SCRIPT)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.rstrip().endswith("consumed []"), done.stdout + done.stderr
