"""A real schema registry, Apicurio: `make test-registry`. Not part of `make test`."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumer.app import run
from consumer.options import Until
from consumer.settings import Settings
from emostream.command_line import make_app
from runtime.errors import Misconfigured
from runtime.kafka.protocol import Partition
from runtime.registry.client import RegistryClient
from runtime.registry.errors import NotRegistered
from runtime.registry.framing import SchemaRef
from runtime.registry.reading import SchemaReader
from runtime.registry.writing import SchemaWriter
from runtime.settings.registry import Registry
from schemas import AffectEvent
from schemas.contracts import EVENTS
from tests.real_registry.server import apicurio
from tests.runtime.kafka.fake_kafka import FakeKafka
from tests.runtime.registry.made import FIELDS, TOOT, framed, toot
from tests.runtime.registry.test_values import MESSAGES, TOPICS
from tests.tgi import FakeTgi

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    async with apicurio() as found:
        yield found


def settings(url: str, **more: Any) -> Registry:
    given: dict[str, Any] = {"urls": (url,), "timeout_s": 20.0} | more
    return Registry(**given)


@pytest.mark.parametrize("form", ["avro", "json-schema"])
@pytest.mark.parametrize("names", ["topic", "topic-record"])
async def test_every_message_is_registered_written_and_read_back(
    url: str, form: str, names: str
) -> None:
    made = settings(url, format=form, subjects=names, auto_register=True, use_latest_version=False)
    topics = {f"{form}.{names}.{topic}": contract for topic, contract in TOPICS.items()}
    client = RegistryClient(made)
    writer = SchemaWriter(client, made, topics)
    await writer.open()
    reader = SchemaReader(client)
    for topic, message in MESSAGES:
        value, headers = writer.encode(f"{form}.{names}.{topic}", message)
        (plain,) = await reader.decode_all([(value, headers)])
        assert msgspec.json.decode(plain or b"", type=type(message)) == message
    # By the latest version, as production does: it is this very schema.
    latest = settings(url, format=form, subjects=names)
    await SchemaWriter(RegistryClient(latest), latest, topics).open()


async def test_what_it_does_not_have_is_told_apart_from_an_outage(url: str) -> None:
    client = RegistryClient(settings(url))
    for ref in (SchemaRef(id=99_999), SchemaRef(guid="9b4c23b2-6eb1-4d97-b6c9-f4b5be18cb0c")):
        with pytest.raises(NotRegistered):
            await client.schema(ref)
    with pytest.raises(NotRegistered):
        await client.latest("nothing-value")


async def test_framing_by_a_header_is_refused_where_schemas_have_no_guid(url: str) -> None:
    made = settings(
        url, format="avro", framing="header", auto_register=True, use_latest_version=False
    )
    with pytest.raises(Misconfigured, match="gives schemas no GUID"):
        await SchemaWriter(RegistryClient(made), made, {"guid": EVENTS}).open()


async def test_the_consumer_reads_avro_posts_and_writes_avro_events(url: str) -> None:
    from confluent_kafka.schema_registry import Schema  # noqa: PLC0415 - the extra

    client = RegistryClient(settings(url))
    posts = await client.register("posts-value", Schema(json.dumps(TOOT), "AVRO"))
    assert posts.schema_id is not None
    broker = FakeKafka({"posts": 1, "affect.events": 1, "affect.dlq": 1})
    broken = framed(posts.schema_id, b"\xff" * 12)
    broker.produce("posts", [framed(posts.schema_id, toot("A happy few.")), broken])
    async with FakeTgi() as tgi:
        made = Settings.model_validate(
            {
                "model": {"servers": [tgi.url], "timeout_s": 5, "wait_s": 5},
                "input": {"value": "registry", "fields": FIELDS},
                "registry": {
                    "urls": [url],
                    "format": "avro",
                    "auto_register": True,
                    "use_latest_version": False,
                    "timeout_s": 20,
                },
                "http": {"port": 0},
            }
        )
        status = await run(
            made, until=Until(max_records=2), signals=False, make_brokers=broker.brokers
        )
    assert status == 0
    assert broker.values("affect.dlq") == [broken]
    (record,) = broker.logs[Partition("affect.events", 0)].records
    (plain,) = await SchemaReader(client).decode_all([(record.value, record.headers)])
    assert msgspec.json.decode(plain or b"", type=AffectEvent).post_id == "7"


def test_the_documented_commands(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "emostream.toml"
    config.write_text(
        f'[registry]\nurls = ["{url}"]\nformat = "avro"\ntimeout_s = 20\n'
        '[output]\nevents_topic = "documented.events"\n'
    )
    app = make_app(overview=False)
    for words in (["register"], ["check", "--json"]):
        assert not app(["schemas", *words, "--config", str(config)])
    assert '"state":"registered"' in capsys.readouterr().out
