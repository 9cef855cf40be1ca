"""The consumer from end to end with a schema registry: Avro in, Avro out, faults in between."""

import asyncio
import json
import subprocess
import sys
from typing import Any

import msgspec
from structlog.testing import capture_logs

from consumer.app import run
from consumer.options import Until
from consumer.settings import Settings
from runtime.kafka.protocol import Partition
from runtime.registry.client import RegistryClient
from runtime.registry.framing import read_framing
from runtime.registry.reading import SchemaReader
from schemas import AffectEvent
from schemas.contracts import EVENTS
from tests.polling import until
from tests.runtime.kafka.fake_kafka import FakeKafka
from tests.runtime.registry.http_registry import HttpRegistry, http_registry
from tests.runtime.registry.made import FIELDS, TOOT, framed, toot
from tests.tgi import FakeTgi

WORDS = "A happy few of the passengers."


def settings(url: str, registry: HttpRegistry, **more: Any) -> Settings:
    return Settings.model_validate(
        {
            "model": {"servers": [url], "timeout_s": 5, "wait_s": 5},
            "input": {"value": "registry", "fields": FIELDS},
            # What is asked is counted: nothing may be asked again, however busy the machine.
            "registry": {"urls": [registry.url], "format": "avro", "timeout_s": 60, **more},
            "http": {"port": 0},
        }
    )


def kafka(*values: bytes | None) -> FakeKafka:
    found = FakeKafka({"posts": 1, "affect.events": 1, "affect.dlq": 1})
    found.produce("posts", values)
    return found


async def test_avro_posts_become_avro_events_and_dead_letters_keep_their_bytes() -> None:
    async with http_registry() as registry, FakeTgi() as tgi:
        number = registry.add("posts-value", TOOT)
        registry.add("affect.events-value", json.loads(EVENTS.schema("avro")))
        broken = framed(number, b"\xff" * 12)
        unknown = framed(99, toot(WORDS))
        good = [framed(number, toot(f"{WORDS} {n}", n)) for n in range(5)]
        broker = kafka(*good, broken, unknown)
        status = await run(
            settings(tgi.url, registry),
            until=Until(max_records=7),
            signals=False,
            make_brokers=broker.brokers,
        )
        assert status == 0
        assert set(broker.values("affect.dlq")) == {broken, unknown}
        reader = SchemaReader(RegistryClient(registry.settings()))
        records = broker.logs[Partition("affect.events", 0)].records
        plain = await reader.decode_all((one.value, one.headers) for one in records)
        events = [msgspec.json.decode(value or b"", type=AffectEvent) for value in plain]
        assert {event.post_id for event in events} == {str(n) for n in range(5)}
        assert all(dict(one.headers)["content-type"] == b"application/avro" for one in records)
        assert registry.asked["GET /schemas/ids/1"] == 1


async def test_a_registry_that_is_down_at_the_start_and_later_loses_no_post() -> None:
    async with http_registry() as registry, FakeTgi() as tgi:
        number = registry.add("posts-value", TOOT)
        registry.add("affect.events-value", json.loads(EVENTS.schema("avro")))
        broker = kafka(framed(number, toot(WORDS)))
        registry.fault = "503"
        with capture_logs() as logs:
            work = asyncio.ensure_future(
                run(
                    settings(tgi.url, registry),
                    until=Until(max_records=1),
                    signals=False,
                    make_brokers=broker.brokers,
                )
            )
            await until(lambda: registry.total() >= 2)
            assert not broker.values("affect.dlq")
            registry.fault = ""
            assert await work == 0
    (value,) = broker.values("affect.events")
    assert value is not None
    assert read_framing(value) is not None
    assert broker.values("affect.dlq") == []
    assert "registry_unreachable" in {entry["event"] for entry in logs}


async def test_a_subject_that_is_not_registered_stops_the_start_with_2() -> None:
    async with http_registry() as registry, FakeTgi() as tgi:
        with capture_logs() as logs:
            status = await run(
                settings(tgi.url, registry), signals=False, make_brokers=kafka().brokers
            )
    assert status == 2
    assert any("emostream schemas register" in str(entry.get("reason")) for entry in logs)


async def test_refused_credentials_stop_the_start_with_3() -> None:
    async with http_registry() as registry, FakeTgi() as tgi:
        registry.fault = "401"
        with capture_logs() as logs:
            status = await run(
                settings(tgi.url, registry, username="ann", password="sekrit-word"),
                signals=False,
                make_brokers=kafka().brokers,
            )
    assert status == 3
    assert "sekrit" not in repr(logs)


def test_without_a_registry_nothing_of_the_official_client_is_imported() -> None:
    script = (
        "import sys, consumer.app, monitor.app, emostream.commands.schemas_registry\n"
        "from consumer.settings import Settings\n"
        "from consumer.registry import ConsumerRegistry\n"
        "made = ConsumerRegistry(Settings())\n"
        "assert made.frame is None and made.reader is None and made.first is None\n"
        "print([name for name in sys.modules if name.split('.')[0] in"
        " {'confluent_kafka', 'fastavro', 'httpx', 'authlib', 'jsonschema'}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
