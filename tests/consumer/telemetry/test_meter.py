"""What happens is counted under the documented names."""

import asyncio
import re

from prometheus_client.parser import text_string_to_metric_families

from consumer.analysis.inference import AnalysisObserver
from consumer.telemetry import metrics as m
from consumer.telemetry.meter import Meter
from consumer.telemetry.observer import Observer
from consumer.telemetry.state import PartitionState, Snapshot
from emollm.pool import BreakerState, PoolObserver
from emollm.protocol import ServerInfo
from tests.consumer.fakes import FakePool, make_analyzer, record
from tests.emollm.pool.simulation import simulated


def snapshot(**changes: object) -> Snapshot:
    values: dict[str, object] = {
        "phase": "running",
        "partitions": (
            PartitionState(
                topic="posts", partition=1, commit_position=10, high_water=25, in_flight=5
            ),
            PartitionState(
                topic="posts", partition=2, commit_position=None, high_water=None, in_flight=0
            ),
        ),
        "available": True,
        "paused": None,
        "in_flight_records": 5,
        "in_flight_bytes": 900,
        "batches": 1,
        "oldest_in_flight_s": 0.5,
        "since_loop_s": 0.1,
        "since_finish_s": 0.2,
        "since_available_s": 50.0,
        "joined": True,
        "consumed": 15,
        "published": 9,
        "dead_letters": 1,
        "committed": 10,
    }
    return Snapshot(**(values | changes))  # type: ignore[arg-type]


def scraped(meter: Meter) -> dict[tuple[str, tuple[str, ...]], float]:
    body, content_type = meter.expose()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, tuple(value for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_one_meter_observes_service_analysis_and_pool() -> None:
    meter = Meter()
    observers: tuple[Observer, AnalysisObserver, PoolObserver] = (meter, meter, meter)
    assert observers


def test_everything_that_is_counted_is_scraped() -> None:
    meter = Meter()
    meter.snapshot = snapshot
    meter.cache_size = lambda: (7, 700)
    meter.model = ServerInfo(dialect="tgi", model_id="Emollama-7b", model_revision="abc")
    meter.batch_closed("size", 64, 9_000)
    meter.batch_finished(64, 0.3)
    meter.events_published([record("a", timestamp_ms=1_000_000, received_at=1_001.0)], 1_001.02)
    meter.dead_letter("decode", "NotJson")
    meter.skipped("where", 3)
    meter.committed(2, 10)
    meter.commit_failed("fenced")
    meter.rebalanced(2)
    meter.revoked(2, 3, 1.5)
    meter.paused("bytes")
    meter.resumed()
    meter.late_finish(4)
    meter.consumer_restarted()
    meter.fuse_blown()
    meter.answers(5, 2, 3)
    meter.unreadable("V-reg", 1, 0)
    meter.analysed(3, 9)
    meter.on_request("http://gpu", "V-reg", "answered", 0.04)
    meter.on_request("http://gpu", "V-reg", "Overloaded", 0.001)
    meter.on_limit("http://gpu", 48)
    meter.on_breaker("http://gpu", BreakerState.OPEN)
    meter.expect_second(["http://gpu"], ["http://small"])
    meter.second_available = lambda: True
    meter.opinion("both", 2, 3)
    meter.second_missing("late")
    meter.shed()
    meter.shed_share(0.25)
    meter.agreement(0.84)
    found = scraped(meter)
    expected = {
        ("emostream_lag_posts", ("1", "posts")): 15,
        ("emostream_events_total", ()): 1,
        ("emostream_dead_letters_total", ("NotJson", "decode")): 1,
        ("emostream_event_latency_seconds_bucket", ("0.025",)): 1,
        ("emostream_event_latency_seconds_bucket", ("0.01",)): 0,
        ("emostream_event_age_seconds_count", ()): 1,
        ("emostream_in_flight_posts", ()): 5,
        ("emostream_in_flight_bytes", ()): 900,
        ("emostream_oldest_in_flight_seconds", ()): 0.5,
        ("emostream_batches_total", ("size",)): 1,
        ("emostream_batch_posts_sum", ()): 64,
        ("emostream_pauses_total", ("bytes",)): 1,
        ("emostream_paused", ("bytes",)): 0,
        ("emostream_model_requests_total", ("answered", "http://gpu", "V-reg")): 1,
        ("emostream_model_requests_total", ("Overloaded", "http://gpu", "V-reg")): 1,
        ("emostream_model_request_seconds_count", ("http://gpu",)): 1,
        ("emostream_model_concurrency_limit", ("http://gpu",)): 48,
        ("emostream_model_breaker_state", ("http://gpu",)): 2,
        ("emostream_answers_total", ("cache",)): 5,
        ("emostream_answers_total", ("shared",)): 2,
        ("emostream_answers_total", ("model",)): 3,
        ("emostream_prompts_total", ()): 9,
        ("emostream_analysed_posts_total", ()): 3,
        ("emostream_unreadable_answers_total", ("recovered", "V-reg")): 1,
        ("emostream_cache_entries", ()): 7,
        ("emostream_cache_bytes", ()): 700,
        ("emostream_rebalances_total", ()): 1,
        ("emostream_abandoned_posts_total", ()): 3,
        ("emostream_late_finishes_total", ()): 4,
        ("emostream_commit_failures_total", ("fenced",)): 1,
        ("emostream_skipped_records_total", ("where",)): 3,
        ("emostream_committed_posts_total", ()): 10,
        ("emostream_consumer_restarts_total", ()): 1,
        ("emostream_fuse_blown", ()): 1,
        ("emostream_ready", ()): 1,
        ("emostream_model_info", ("Emollama-7b", "abc")): 1,
        ("emostream_opinions_total", ("both",)): 1,
        ("emostream_opinions_total", ("second",)): 0,
        ("emostream_model_prompts_total", ("first",)): 2,
        ("emostream_model_prompts_total", ("second",)): 3,
        ("emostream_second_missing_total", ("late",)): 1,
        ("emostream_shed_posts_total", ()): 1,
        ("emostream_shed_share", ()): 0.25,
        ("emostream_models_correlation", ("V-reg",)): 0.84,
        ("emostream_model_upstream_info", ("http://small", "second")): 1,
        ("emostream_second_available", ("second",)): 1,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert not any(name == "emostream_lag_posts" and "2" in labels for name, labels in found)
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in found}
    assert {metric.name for metric in m.ALL} <= names


def test_counters_are_zero_before_anything_happened() -> None:
    found = scraped(Meter())
    assert found["emostream_events_total", ()] == 0
    assert found["emostream_consumer_restarts_total", ()] == 0
    assert found["emostream_ready", ()] == 0


def test_a_partition_that_is_gone_has_no_lag() -> None:
    meter = Meter()
    meter.snapshot = snapshot
    assert ("emostream_lag_posts", ("1", "posts")) in scraped(meter)
    meter.snapshot = lambda: snapshot(partitions=())
    assert ("emostream_lag_posts", ("1", "posts")) not in scraped(meter)


async def test_the_analysis_counts_prompts_cache_and_unreadable_answers() -> None:
    meter = Meter()
    analyzer = make_analyzer(FakePool(), observer=meter)
    await analyzer.process([record("Same.", 1), record("Same.", 2)])
    await analyzer.process([record("Same.", 3)])
    assert meter.value(m.ANALYSED) == 3
    assert meter.value(m.PROMPTS) == 3
    assert meter.value(m.ANSWERS, "model") == 3
    assert meter.value(m.ANSWERS, "cache") == 3


@simulated  # on a loop of its own: on the tests' own what another one has left may just be ending
async def test_tasks_that_are_alive_are_counted() -> None:
    meter = Meter()
    before = scraped(meter)["emostream_asyncio_tasks", ()]
    task = asyncio.create_task(asyncio.sleep(60))
    assert scraped(meter)["emostream_asyncio_tasks", ()] == before + 1
    task.cancel()
    await asyncio.wait((task,))
    assert scraped(meter)["emostream_asyncio_tasks", ()] == before


def test_every_metric_is_named_and_documented_alike() -> None:
    assert len({metric.name for metric in m.ALL}) == len(m.ALL)
    for metric in m.ALL:
        assert re.fullmatch(r"emostream_[a-z_]+", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert metric.meaning.endswith(".")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert f"| `{metric.name}` | {metric.kind} |" in m.to_markdown()


def test_known_labels_are_there_before_they_are_counted() -> None:
    found = {
        (sample.name, tuple(sample.labels.values()))
        for family in Meter().collect()
        for sample in family.samples
    }
    assert ("emostream_skipped_records_total", ("tombstone",)) in found
    assert ("emostream_commit_failures_total", ("fenced",)) in found
    assert ("emostream_batches_total", ("wait",)) in found
    assert any(name == "emostream_build_info" for name, _ in found)
