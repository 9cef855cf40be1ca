"""`emostream schemas check|register`, and commands that read and write what a registry frames."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from consumer.settings import Settings
from emostream.command_line import make_app
from emostream.exits import CommandError
from emostream.registry_findings import look_at_registry, schemas_for
from infra.kafka import TopicNames, create_topics, default_topics
from monitor.registry import read_topics, value_writer
from monitor.settings import load
from monitor.tables.errors import ValuesFramed
from runtime.kafka.connection import Broker
from runtime.kafka.producing import kafka_producer
from runtime.kafka.topic_log import kafka_topic_log
from runtime.registry.framing import read_framing
from schemas import AffectEvent
from tests.consumer.records import make_record
from tests.monitor.alerts import make_alert
from tests.runtime.registry.http_registry import HttpRegistry, http_registry
from tests.runtime.registry.made import TOOT, framed, toot
from tests.schemas.examples import FULL_EVENT
from tests.topics import topic_names


@dataclass
class Commands:
    registry: HttpRegistry
    config: Path
    plain: Path
    """The same without a registry."""
    names: TopicNames
    bootstrap: str

    async def __call__(self, *words: str, config: Path | None = None) -> tuple[int, str]:
        """Run a command in this process; give its status and its output."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = await asyncio.to_thread(
                make_app(overview=False), [*words, "--config", str(config or self.config)]
            )
        return status or 0, out.getvalue()

    async def write(self, topic: str, *messages: msgspec.Struct) -> None:
        settings = load(self.config, {})
        writer = await value_writer(settings.registry, read_topics(settings))
        async with kafka_producer(Broker(bootstrap=self.bootstrap)) as producer:
            for message in messages:
                value, headers = writer.encode(topic, message)
                await (await producer.send(topic, key=b"k", value=value, headers=list(headers)))

    async def raw(self, topic: str) -> list[bytes]:
        async with kafka_topic_log(topic, Broker(bootstrap=self.bootstrap)) as log:
            return [one.value or b"" async for one in log.read(await log.spans())]


@pytest.fixture
async def registry() -> AsyncIterator[HttpRegistry]:
    async with http_registry() as made:
        yield made


def configured(registry: HttpRegistry, folder: Path, names: TopicNames, bootstrap: str) -> Commands:
    plain, config = folder / "plain.toml", folder / "emostream.toml"
    plain.write_text(
        f'[kafka]\nbootstrap = "{bootstrap}"\n'
        f'[output]\nevents_topic = "{names.events}"\ndlq_topic = "{names.dead_letters}"\n'
        f'[monitor]\nalerts_topic = "{names.alerts}"\nmutes_topic = "{names.mutes}"\n'
        f'windows_topic = "{names.windows}"\nbaselines_topic = "{names.baselines}"\n'
    )
    config.write_text(
        plain.read_text() + f'[registry]\nurls = ["{registry.url}"]\nformat = "avro"\n'
    )
    return Commands(registry, config, plain, names, bootstrap)


@pytest.fixture
def offline(registry: HttpRegistry, tmp_path: Path) -> Commands:
    """Without Kafka."""
    return configured(registry, tmp_path, topic_names(), "127.0.0.1:1")


@pytest.fixture
async def online(registry: HttpRegistry, tmp_path: Path, bootstrap: str) -> Commands:
    names = topic_names()
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(names))
    made = configured(registry, tmp_path, names, bootstrap)
    assert (await made("schemas", "register"))[0] == 0
    return made


async def test_register_and_check_say_how_each_subject_is(offline: Commands) -> None:
    status, said = await offline("schemas", "check")
    assert status == 1
    assert said.count("not registered: emostream schemas register") == 4
    status, said = await offline("schemas", "register", "--json")
    assert status == 0
    found = json.loads(said)
    assert [one["state"] for one in found] == ["registered"] * 4
    assert found[0]["subject"] == f"{offline.names.events}-value"
    assert {one["id"] for one in found} == {1, 2, 3, 4}
    assert await offline("schemas", "register", "--json") == (0, said)  # nothing new
    status, said = await offline("schemas", "check")
    assert status == 0
    assert f"{offline.names.windows}-value: registered: version 1, id 2" in said


async def test_an_earlier_schema_may_be_followed_or_not(offline: Commands) -> None:
    subject = f"{offline.names.events}-value"
    earlier = {"type": "record", "name": "io.emostream.AffectEvent", "fields": []}
    offline.registry.add(subject, earlier)
    _, said = await offline("schemas", "check", "--json")
    first, *_ = json.loads(said)
    assert first["state"] == "compatible"
    offline.registry.refuses = True
    status, said = await offline("schemas", "register")
    assert status == 1
    assert f"{subject}: this version's schema breaks" in said
    assert said.count("registered: version 1") == 3


async def test_without_a_format_there_is_nothing_to_register(offline: Commands) -> None:
    with pytest.raises(CommandError, match=r"set registry\.urls and registry\.format") as refused:
        await offline("schemas", "register", config=offline.plain)
    assert refused.value.status == 2


async def test_doctor_says_what_the_registry_lacks(registry: HttpRegistry) -> None:
    settings = Settings.model_validate({"registry": {"urls": [registry.url], "format": "avro"}})

    async def found() -> list[tuple[str, str]]:
        return [(one.part, one.state) async for one in look_at_registry(settings)]

    assert await found() == [("registry", "ok"), ("subjects", "bad")]
    registry.fault = "401"
    assert await found() == [("registry", "bad"), ("subjects", "skipped")]
    assert [one async for one in look_at_registry(Settings())] == []


async def test_doctor_reads_framed_posts(registry: HttpRegistry) -> None:
    registry.add("posts-value", TOOT)
    settings = Settings.model_validate(
        {"input": {"value": "registry"}, "registry": {"urls": [registry.url]}}
    )
    reader = await schemas_for(
        settings, [make_record(framed(1, toot("Hello."))), make_record(None)]
    )
    assert reader is not None
    assert registry.total() == 1


async def test_framed_events_are_printed_as_json_and_told_where_no_registry_is_named(
    online: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    await online.write(online.names.events, FULL_EVENT)
    assert read_framing((await online.raw(online.names.events))[0]) is not None
    _, said = await online("events", "--json")
    assert msgspec.json.decode(said, type=AffectEvent) == FULL_EVENT
    with pytest.raises(CommandError, match="can be read without its schema registry"):
        await online("events", config=online.plain)
    assert "name the registry in registry.urls" in capsys.readouterr().err


async def test_a_topic_of_framed_events_is_backtested(online: Commands) -> None:
    await online.write(online.names.events, FULL_EVENT)
    _, said = await online("monitor", "backtest", online.names.events)
    assert "0 alerts" in said


async def test_framed_events_are_exported_and_never_skipped_without_a_word(
    online: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await online.write(online.names.events, FULL_EVENT)
    with pytest.raises(ValuesFramed, match=r"registry\.urls"):
        await online("events", "export", "--out", str(tmp_path / "no"), config=online.plain)
    _, said = await online("events", "export", "--out", str(tmp_path / "yes"), "--json")
    (table,) = json.loads(said)["tables"]
    assert (table["rows"], table["skipped"]) == (1, {})
    async with kafka_producer(Broker(bootstrap=online.bootstrap)) as producer:
        plain = msgspec.json.encode(FULL_EVENT)
        await (await producer.send(online.names.events, key=b"k", value=plain, headers=[]))
    _, said = await online("events", "export", "--out", str(tmp_path / "no"), config=online.plain)
    assert "1 rows in 1 files" in said
    assert "1 skipped: framed by a schema registry, and none is configured" in said
    assert f"emostream: left out: {online.names.events}" in capsys.readouterr().err


async def test_what_people_say_of_alerts_is_written_and_read_framed(online: Commands) -> None:
    alert = make_alert("firing", "alert-1")
    await online.write(online.names.alerts, alert)
    await online("alerts", "ack", alert.alert_id[:6], "--by", "ann")
    await online("alerts", "mute", "trains", "--until", "8h", "--by", "ann")
    for topic in (online.names.alerts, online.names.mutes):
        assert all(read_framing(value) for value in await online.raw(topic))
    _, said = await online("alerts")
    assert "firing" in said
    assert "ack by ann" in said
