"""The consumer with a second model, from settings to exit status, on real sockets."""

import asyncio
import json
import os
import signal
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from consumer.app import run
from consumer.options import Until
from tests.consumer.test_app import kafka, post, settings
from tests.polling import until
from tests.tgi import FakeTgi


@pytest.fixture(autouse=True)
def brief_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Don't wait for a model that isn't there as long as a start may; for one that is, longer."""
    monkeypatch.setattr("consumer.app._GRACE_S", 0.1)
    monkeypatch.setattr("consumer.app._SECOND_GRACE_S", 60.0)


GONE = "http://127.0.0.1:1"


async def events(first: str, second: str, **options: Any) -> list[dict[str, Any]]:
    broker = kafka(*(post(n) for n in range(20)))
    chosen = {"second": {"servers": [second], "timeout_s": 5, **options}, "wait_s": 20}
    status = await run(
        settings(first, model=chosen),
        until=Until(max_records=20),
        signals=False,
        make_brokers=broker.brokers,
    )
    assert status == 0
    assert broker.values("affect.dlq") == []
    return [json.loads(value or b"") for value in broker.values("affect.events")]


async def test_both_models_read_and_each_is_named_with_its_prompts() -> None:
    async with FakeTgi() as big, FakeTgi(info={"model_id": "emostream-small"}) as small:
        found = await events(big.url, small.url)
    assert [event["opinion"] for event in found] == ["both"] * 20
    for event in found:
        assert event["models"]["first"]["server"] == big.url
        assert event["models"]["first"]["prompts"] == 2
        assert event["models"]["second"]["id"] == "emostream-small"
        assert event["models"]["second"]["prompts"] == 3
        assert event["prompts"] == 5


async def test_a_second_that_is_not_there_delays_the_start_a_little_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumer.app._SECOND_GRACE_S", 0.1)
    async with FakeTgi() as big:
        found = await events(big.url, GONE)
    assert [event["opinion"] for event in found] == ["first"] * 20


async def test_a_second_that_is_the_wrong_model_is_told_and_the_first_reads_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumer.app._SECOND_GRACE_S", 0.1)
    broker = kafka()
    async with FakeTgi() as big, FakeTgi(lambda _: "Sure! I'd be happy to help.") as small:
        with capture_logs() as logs:
            chosen = {"second": {"servers": [small.url], "timeout_s": 5}, "wait_s": 20}
            running = asyncio.ensure_future(
                run(
                    settings(big.url, model=chosen),
                    until=Until(max_records=20),
                    signals=False,
                    make_brokers=broker.brokers,
                )
            )
            await until(lambda: any(one["event"] == "second_model_out" for one in logs))
            broker.produce("posts", [post(n) for n in range(20)])
            assert await running == 0
    found = [json.loads(value or b"") for value in broker.values("affect.events")]
    assert [event["opinion"] for event in found] == ["first"] * 20
    (entry,) = [one for one in logs if one["event"] == "second_model_out"]
    assert entry["error"] == "WrongModel"


async def test_a_first_that_is_not_there_at_the_start_is_stood_in_for() -> None:
    async with FakeTgi(info={"model_id": "emostream-small"}) as small:
        found = await events(GONE, small.url, on_outage="second")
    assert [event["opinion"] for event in found] == ["second"] * 20
    assert {event["model"]["id"] for event in found} == {"emostream-small"}
    assert all(event["models"].keys() == {"second"} for event in found)


async def test_neither_model_there_in_time_ends_with_exit_1() -> None:
    chosen = {"wait_s": 0.05, "second": {"servers": ["http://127.0.0.1:2"], "on_outage": "second"}}
    status = await run(settings(GONE, model=chosen), signals=False, make_brokers=kafka().brokers)
    assert status == 1


async def test_the_second_has_its_metrics_and_its_trouble_is_a_warning_in_readyz() -> None:
    broker = kafka(post(1))
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with FakeTgi() as big, FakeTgi(info={"model_id": "emostream-small"}) as small:
        chosen = {"second": {"servers": [small.url]}}
        with capture_logs() as logs:
            running = asyncio.ensure_future(
                run(
                    settings(big.url, model=chosen),
                    on_ready=ready.set_result,
                    make_brokers=broker.brokers,
                )
            )
            url = (await ready).split()[-1]
            await until(lambda: bool(broker.values("affect.events")))
            small.status = 401
            broker.produce("posts", [post(2)])
            await until(lambda: any(one["event"] == "second_model_out" for one in logs))
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/readyz") as response:
                assert response.status == 200
                (warning,) = (await response.json())["warnings"]
            async with session.get(f"{url}/metrics") as response:
                text = await response.text()
        assert warning.startswith("second model: ")
        assert "check model.second.token or model.second.token_file" in warning
        (told,) = [one["reason"] for one in logs if one["event"] == "second_model_out"]
        assert "check model.second.token" in told
        assert 'emostream_opinions_total{opinion="both"} 1.0' in text
        assert (
            f'emostream_model_upstream_info{{server="{small.url}",upstream="second"}} 1.0' in text
        )
        assert 'emostream_model_prompts_total{upstream="first"}' in text
        assert 'emostream_second_available{upstream="second"} 0.0' in text
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0
