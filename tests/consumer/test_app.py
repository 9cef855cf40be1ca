"""The consumer as a whole, from settings to exit status, on a Kafka in memory and a TGI socket."""

import asyncio
import json
import os
import signal
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from consumer.analysis.event_ids import EventIds
from consumer.analysis.plan import make_plan
from consumer.app import run
from consumer.options import Until
from consumer.settings import Settings, Tasks
from runtime.kafka.protocol import Partition
from schemas.headers import ERRORS_PREFIX
from tests.consumer.fakes import reach
from tests.polling import until
from tests.runtime.kafka.fake_kafka import FakeKafka
from tests.tgi import FakeTgi

TOKEN = "sekrit-token-of-the-model"
KEY = "sekrit-key-of-the-pseudonyms-0123"


def settings(url: str, **sections: dict[str, Any]) -> Settings:
    values: dict[str, Any] = {
        "model": {"servers": [url], "token": TOKEN, "timeout_s": 5, "wait_s": 5},
        "output": {"author_key": KEY},
        "http": {"port": 0},
    }
    for name, changes in sections.items():
        values[name] = values.get(name, {}) | changes
    return Settings(**values)


def kafka(*values: bytes | None) -> FakeKafka:
    found = FakeKafka({"posts": 1, "affect.events": 1, "affect.dlq": 1})
    found.produce("posts", values)
    return found


def post(number: int, **more: Any) -> bytes:
    fields = {"id": f"p{number}", "text": f"Number {number} of a happy few.", "author": "ann@x"}
    return json.dumps(fields | more).encode()


async def test_posts_become_events_and_poison_dead_letters_and_it_ends_with_zero() -> None:
    broker = kafka(*(post(n) for n in range(20)), b"junk \xff", None)
    lines: list[str] = []
    async with FakeTgi() as tgi:
        with capture_logs() as logs:
            status = await run(
                settings(tgi.url),
                until=Until(max_records=22),
                signals=False,
                on_ready=lines.append,
                make_brokers=broker.brokers,
            )
        assert tgi.authorization == {f"Bearer {TOKEN}"}
    assert status == 0
    events = [json.loads(value or b"") for value in broker.values("affect.events")]
    assert {event["post_id"] for event in events} == {f"p{n}" for n in range(20)}
    assert all(event["sentiment"] == {"valence": 0.734, "class": 2} for event in events)
    assert all(event["model"]["id"] == "lzw1008/Emollama-chat-7b" for event in events)
    assert all(event["model"]["revision"] == "5ha" for event in events)
    assert sum(event["prompts"] for event in events) == 60
    assert broker.values("affect.dlq") == [b"junk \xff"]
    (line,) = lines
    assert "group emostream, 1 partitions, health and metrics at http://127.0.0.1:" in line
    everything = repr(logs) + repr(events)
    for leaked in (TOKEN, KEY, "ann@x"):
        assert leaked not in everything
    assert "happy few" not in repr(logs)
    assert [entry["event"] for entry in logs if entry["event"] == "model_ready"]


async def test_a_wrong_model_is_refused_by_the_canary_with_exit_3() -> None:
    async with FakeTgi(lambda _: "Sure! I'd be happy to help.") as tgi:
        with capture_logs() as logs:
            status = await run(settings(tgi.url), signals=False, make_brokers=kafka().brokers)
    assert status == 3
    (entry,) = [entry for entry in logs if entry["event"] == "not_started"]
    assert entry["error"] == "WrongModel"
    assert "lzw1008/Emollama-chat-7b" in entry["reason"]
    assert tgi.url in entry["reason"]


async def test_one_constant_answer_is_no_emollm() -> None:
    async with FakeTgi(lambda p: "joy." if "contains" in p else "0.5") as tgi:
        assert await run(settings(tgi.url), signals=False, make_brokers=kafka().brokers) == 3


async def test_an_unknown_model_is_refused_with_what_to_configure() -> None:
    async with FakeTgi(info={"model_id": "acme/other-7b"}) as tgi:
        with capture_logs() as logs:
            status = await run(settings(tgi.url), signals=False, make_brokers=kafka().brokers)
    assert status == 3
    assert "configure" in next(entry["reason"] for entry in logs if "reason" in entry)


async def test_an_unknown_model_is_asked_as_the_configuration_describes_it() -> None:
    broker = kafka(post(1))
    mine = {"name": "ours", "family": "t5", "wrapper": "bare", "revision": "r7"}
    async with FakeTgi(info={"model_id": "acme/other-7b"}) as tgi:
        status = await run(
            settings(tgi.url, model=mine),
            until=Until(max_records=1),
            signals=False,
            make_brokers=broker.brokers,
        )
    assert status == 0
    assert not any("Human:" in prompt for prompt in tgi.prompts)
    (value,) = broker.values("affect.events")
    assert json.loads(value or b"")["model"]["id"] == "ours"
    assert json.loads(value or b"")["model"]["revision"] == "r7"


@pytest.mark.parametrize(
    ("configured", "cluster_id", "model", "revision"),
    [
        ({}, "fake-cluster", "", ""),
        (
            {
                "kafka": {"cluster_id": "ours"},
                "model": {"name": "lzw1008/Emollama-chat-13b", "revision": "r7"},
            },
            *("ours", "lzw1008/Emollama-chat-13b", "r7"),
        ),
    ],
)
async def test_event_ids_hold_the_cluster_and_the_model_only_where_that_is_configured(
    configured: dict[str, dict[str, Any]], cluster_id: str, model: str, revision: str
) -> None:
    """Not what a server says of its model: which one was up first must not matter."""
    broker = kafka(post(1))
    async with FakeTgi() as tgi:
        status = await run(
            settings(tgi.url, **configured),
            until=Until(max_records=1),
            signals=False,
            make_brokers=broker.brokers,
        )
    assert status == 0
    ids = EventIds(
        make_plan(Tasks()).signature, cluster_id=cluster_id, model=model, revision=revision
    )
    (value,) = broker.values("affect.events")
    assert json.loads(value or b"")["id"] == ids.of("posts", 0, 0, post(1))


async def test_a_refused_token_ends_with_exit_3() -> None:
    async with FakeTgi() as tgi:
        tgi.status = 401
        with capture_logs() as logs:
            status = await run(settings(tgi.url), signals=False, make_brokers=kafka().brokers)
    assert status == 3
    assert TOKEN not in repr(logs)


async def test_no_model_server_within_the_wait_ends_with_exit_1() -> None:
    status = await run(
        settings("http://127.0.0.1:1", model={"wait_s": 0.05}),
        signals=False,
        make_brokers=kafka().brokers,
    )
    assert status == 1


@pytest.mark.parametrize(
    "sections",
    [
        {"input": {"topics": ["missing"]}},
        {"model": {"max_input_tokens": 40}},
        {"http": {"host": "256.0.0.1"}},
        {"kafka": {"tls": {"enabled": True, "ca_file": "/no/such.pem"}}},
    ],
)
async def test_what_only_shows_at_start_ends_with_exit_2_or_3(
    sections: dict[str, dict[str, Any]],
) -> None:
    async with FakeTgi() as tgi:
        with capture_logs() as logs:
            status = await run(
                settings(tgi.url, **sections), signals=False, make_brokers=kafka().brokers
            )
    assert status == (3 if "model" in sections else 2)
    assert [entry for entry in logs if entry["log_level"] == "error"]


async def test_it_stops_cleanly_while_it_waits_for_a_model_server() -> None:
    before = signal.getsignal(signal.SIGTERM)  # `make coverage` has a handler of its own
    waiting = asyncio.ensure_future(
        run(
            settings("http://127.0.0.1:1", model={"wait_s": 0}),
            make_brokers=kafka().brokers,
        )
    )
    await reach(lambda: signal.getsignal(signal.SIGTERM) is not before)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await waiting == 0


async def test_health_is_served_from_the_start_to_the_end() -> None:
    broker = kafka(post(1))
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with FakeTgi() as tgi:
        running = asyncio.ensure_future(
            run(settings(tgi.url), on_ready=ready.set_result, make_brokers=broker.brokers)
        )
        url = (await ready).split()[-1]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/livez") as response:
                assert response.status == 200
            for _ in range(100):
                async with session.get(f"{url}/metrics") as response:
                    text = await response.text()
                if "emostream_events_total 1.0" in text:
                    break
            assert "emostream_events_total 1.0" in text
            assert 'emostream_model_breaker_state{server="' in text
            async with session.get(f"{url}/readyz") as response:
                assert response.status == 200
            os.kill(os.getpid(), signal.SIGTERM)
            assert await running == 0
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{url}/livez")


async def test_a_dead_letter_tells_where_it_came_from() -> None:
    broker = kafka(b"junk")
    async with FakeTgi() as tgi:
        await run(
            settings(tgi.url),
            until=Until(max_records=1),
            signals=False,
            make_brokers=broker.brokers,
        )
    (record,) = broker.logs[Partition("affect.dlq", 0)].records
    assert dict(record.headers)[f"{ERRORS_PREFIX}class.name"] == b"NotJson"


async def test_health_is_served_and_kafka_is_checked_before_a_model_server_has_answered() -> None:
    """And the group is joined only once one has passed the canary: no partition waits for it."""
    broker = kafka(post(1))
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with FakeTgi() as tgi:
        tgi.status = 503
        with capture_logs() as logs:
            running = asyncio.ensure_future(
                run(
                    settings(tgi.url, model={"wait_s": 0}),
                    on_ready=ready.set_result,
                    make_brokers=broker.brokers,
                )
            )
            await until(lambda: any(one["event"] == "waiting_for_model" for one in logs))
        url = next(one["url"] for one in logs if one["event"] == "health_listens")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/livez") as response:
                assert response.status == 200
            async with session.get(f"{url}/readyz") as response:
                assert response.status == 503
                assert "waiting for a model server" in (await response.json())["why"]
        assert broker.producers
        assert broker.groups["emostream"].members == []
        tgi.status = 200
        await ready
        assert len(broker.groups["emostream"].members) == 1
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0


async def test_a_missing_topic_is_told_although_no_model_server_ever_answers() -> None:
    with capture_logs() as logs:
        status = await run(
            settings("http://127.0.0.1:1", model={"wait_s": 0}, input={"topics": ["missing"]}),
            signals=False,
            make_brokers=kafka().brokers,
        )
    assert status == 2
    (entry,) = [entry for entry in logs if entry["event"] == "not_started"]
    assert "emostream topics create" in entry["reason"]


async def test_a_partition_that_stopped_is_a_warning_in_readyz_which_stays_200() -> None:
    broker = FakeKafka({"posts": 2, "affect.events": 1, "affect.dlq": 1})
    broker.produce("posts", [post(1), post(2)], 1)
    broker.logs[Partition("posts", 1)].bad_at = 1
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with FakeTgi() as tgi:
        with capture_logs() as logs:
            running = asyncio.ensure_future(
                run(settings(tgi.url), on_ready=ready.set_result, make_brokers=broker.brokers)
            )
            await until(lambda: any(one["event"] == "partition_stopped" for one in logs))
        url = (await ready).split()[-1]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/readyz") as response:
                assert response.status == 200
                (warning,) = (await response.json())["warnings"]
            async with session.get(f"{url}/metrics") as response:
                text = await response.text()
        assert "posts-1 stopped at offset 1" in warning
        assert "emostream_bad_batches_total 1.0" in text
        assert 'emostream_paused{reason="bad_batch"} 1.0' in text
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0
