"""`emostream doctor` says whether traces arrive, before one is lost."""

import importlib.util

import pytest

from consumer.settings import Settings
from emostream.collector_check import CollectorRefusesError, check_collector
from emostream.diagnosis import diagnose
from tests.collector import Collector
from tests.refusing import refusing_port


def settings(endpoint: str, **more: object) -> Settings:
    return Settings.model_validate({"tracing": {"endpoint": endpoint, **more}})


async def test_a_collector_that_takes_a_request_without_spans_is_well() -> None:
    async with Collector() as collector:
        said = await check_collector(settings(collector.url, headers="x-key=sekrit"))
    assert said == f"{collector.url}/v1/traces takes traces; 1 % of the batches are recorded"
    assert collector.headers[0]["x-key"] == "sekrit"
    assert collector.spans == []


@pytest.mark.parametrize(
    ("status", "key"),
    [
        *((401, "tracing.headers"), (403, "tracing.headers"), (404, "tracing.endpoint")),
        *((307, "its log"), (503, "its log")),
    ],
)
async def test_one_that_refuses_is_told_with_what_to_change(status: int, key: str) -> None:
    async with Collector(status=status) as collector:
        with pytest.raises(CollectorRefusesError, match=f"answers {status}") as error:
            await check_collector(settings(collector.url, headers="x-key=sekrit"))
    assert key in str(error.value)
    assert "sekrit" not in str(error.value)


async def test_one_that_is_away_is_told() -> None:
    said = r"can't be reached .*check tracing\.endpoint"
    with refusing_port() as port, pytest.raises(CollectorRefusesError, match=said):
        await check_collector(settings(f"http://127.0.0.1:{port}"))


async def test_a_missing_package_is_told_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr("emostream.collector_check.find_spec", lambda _: None)
    with pytest.raises(CollectorRefusesError, match=r"pip install 'emostream\[tracing\]'"):
        await check_collector(settings("http://127.0.0.1:1"))


async def test_a_certificate_authority_that_can_not_be_read_is_told() -> None:
    with pytest.raises(CollectorRefusesError, match=r"tracing\.ca_file"):
        await check_collector(settings("https://127.0.0.1:1", ca_file="/nowhere/ca.pem"))


@pytest.mark.parametrize("on", [True, False])
async def test_doctor_looks_at_it_where_traces_are_on(on: bool) -> None:
    kafka = {"bootstrap": "127.0.0.1:1"}
    async with Collector() as collector:
        tracing = {"endpoint": collector.url} if on else {}
        found = Settings.model_validate(
            {"kafka": kafka, "model": {"servers": ["http://127.0.0.1:1"]}, "tracing": tracing}
        )
        findings = [one async for one in diagnose(found)]
    assert [one.state for one in findings if one.part == "traces"] == ["ok"] * on
