"""What is written by a schema is read back the same, by us and by the official client."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from confluent_kafka.schema_registry import AsyncSchemaRegistryClient
from confluent_kafka.schema_registry.avro import AsyncAvroDeserializer
from confluent_kafka.schema_registry.json_schema import AsyncJSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import given, settings

from runtime.errors import Misconfigured
from runtime.registry.client import RegistryClient
from runtime.registry.errors import Unencodable
from runtime.registry.framing import read_framing
from runtime.registry.reading import SchemaReader
from runtime.registry.writing import SchemaWriter, subjects
from schemas import AffectEvent, Alert, AlertAction, Mute, Window
from schemas.contracts import ALERTS, EVENTS, MUTES, WINDOWS, Contract
from tests.runtime.registry.http_registry import http_registry
from tests.runtime.registry.mocked import mocked
from tests.schemas.examples import BARE_EVENT, FULL_EVENT, NEUTRAL_EVENT, TWO_MODELS_EVENT, events

TOPICS = {"e": EVENTS, "w": WINDOWS, "a": ALERTS, "m": MUTES}
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
ALERT = Alert(
    version=1,
    id="i",
    alert_id="x",
    track="trains",
    transition="pending",
    measure="valence",
    severity="info",
    observed=0.2,
    expected=0.5,
    started_at=NOON,
    at=NOON,
    posts=3,
    emotions={"anger": 0.25},
)
ACTION = AlertAction(version=1, id="j", alert_id="x", action="note", by="ann", at=NOON, note="é")
MUTE = Mute(version=1, id="k", track="trains", by="ann", at=NOON, weekly="daily 22:00-06:00")
WINDOW = Window(version=1, track="trains", start=NOON, end=NOON, posts=0)
MESSAGES: list[tuple[str, msgspec.Struct]] = [
    *(("e", one) for one in (FULL_EVENT, BARE_EVENT, NEUTRAL_EVENT, TWO_MODELS_EVENT)),
    *(("w", WINDOW), ("a", ALERT), ("a", ACTION), ("m", MUTE)),
]
FORMATS = pytest.mark.parametrize("form", ["avro", "json-schema"])


async def opened(
    topics: dict[str, Contract] = TOPICS, **more: Any
) -> tuple[SchemaWriter, SchemaReader]:
    client, made = mocked(auto_register=True, use_latest_version=False, **more)
    writer = SchemaWriter(client, made, topics)
    await writer.open()
    return writer, SchemaReader(client)


@FORMATS
@pytest.mark.parametrize("framing", ["prefix", "header"])
@pytest.mark.parametrize("names", ["topic", "record", "topic-record"])
async def test_each_message_comes_back_as_it_was(form: str, framing: str, names: str) -> None:
    writer, reader = await opened(format=form, framing=framing, subjects=names)
    for topic, message in MESSAGES:
        value, headers = writer.encode(topic, message)
        assert bool(headers) == (framing == "header")
        framed = read_framing(value, headers)
        assert framed is not None
        await reader.know({framed.ref})
        plain = reader.decode(value, framed, leave_out_nulls=True)
        assert msgspec.json.decode(plain, type=type(message)) == message


@settings(max_examples=30)
@given(event=events)
def test_any_event_survives_avro_but_for_the_offsets_of_its_times(event: AffectEvent) -> None:
    async def there_and_back() -> AffectEvent:
        writer, reader = await opened({"e": EVENTS}, format="avro")
        value, headers = writer.encode("e", event)
        (plain,) = await reader.decode_all([(value, headers)])
        return msgspec.json.decode(plain or b"", type=AffectEvent)

    assert asyncio.run(there_and_back()) == event


@FORMATS
@pytest.mark.parametrize("framing", ["prefix", "header"])
async def test_the_official_deserializer_reads_what_we_write(form: str, framing: str) -> None:
    mock = AsyncSchemaRegistryClient.new_client({"url": "mock://ours"})
    _, made = mocked(format=form, framing=framing, auto_register=True, use_latest_version=False)
    writer = SchemaWriter(RegistryClient(made, connect=lambda: mock), made, {"e": EVENTS})
    await writer.open()
    value, headers = writer.encode("e", FULL_EVENT)
    conf = {"subject.name.strategy.type": "TOPIC"}
    reading: Any = (
        await AsyncAvroDeserializer(mock, conf=conf)
        if form == "avro"
        else await AsyncJSONDeserializer(None, schema_registry_client=mock, conf=conf)
    )
    context = SerializationContext("e", MessageField.VALUE, list(headers))
    tree = await reading(value, context)
    assert tree["post_id"] == FULL_EVENT.post_id
    assert tree["emotions"] == list(FULL_EVENT.emotions or ())


def test_subjects_are_named_as_users_of_the_official_client_expect() -> None:
    def names(form: str, strategy: str) -> list[str]:
        _, made = mocked(format=form, subjects=strategy)
        return [one.name for one in subjects(made, {"affect.alerts": ALERTS})]

    assert names("avro", "topic") == ["affect.alerts-value"]
    assert names("avro", "record") == ["io.emostream.Alert", "io.emostream.AlertAction"]
    assert names("json-schema", "topic-record") == [
        "affect.alerts-Alert",
        "affect.alerts-AlertAction",
    ]


async def test_writing_and_reading_ask_the_registry_nothing_once_they_know_the_schema() -> None:
    async with http_registry() as registry:
        made = registry.settings(format="avro", auto_register=True, use_latest_version=False)
        client = RegistryClient(made)
        writer = SchemaWriter(client, made, {"e": EVENTS})
        await writer.open()
        reader = SchemaReader(client)
        asked = registry.total()
        for _ in range(3):
            value, headers = writer.encode("e", FULL_EVENT)
            await reader.decode_all([(value, headers)] * 5)
        assert registry.total() == asked + 1


async def test_nothing_is_registered_unless_that_is_configured() -> None:
    async with http_registry() as registry:
        for more in ({}, {"use_latest_version": False}):
            made = registry.settings(format="avro", **more)
            with pytest.raises(Misconfigured, match="emostream schemas register"):
                await SchemaWriter(RegistryClient(made), made, {"e": EVENTS}).open()
        assert not registry.subjects


async def test_the_latest_schema_is_written_by_and_a_later_field_takes_its_default() -> None:
    async with http_registry() as registry:
        later = msgspec.json.decode(EVENTS.schema("avro"))
        later["fields"].append({"name": "mood", "type": ["null", "string"], "default": None})
        number = registry.add("e-value", later)
        made = registry.settings(format="avro")
        writer = SchemaWriter(RegistryClient(made), made, {"e": EVENTS})
        await writer.open()
        value, _ = writer.encode("e", FULL_EVENT)
        framed = read_framing(value)
        assert framed is not None
        assert framed.ref.id == number
        reader = SchemaReader(RegistryClient(made))
        (plain,) = await reader.decode_all([(value, ())])
        assert msgspec.json.decode(plain or b"", type=AffectEvent) == FULL_EVENT


@pytest.mark.parametrize(
    ("schema", "kind", "more", "words"),
    [
        ({"type": "object", "title": "E"}, "JSON", {}, "holds a schema of type JSON"),
        (
            {"type": "record", "name": "E", "fields": []},
            "AVRO",
            {"ruleSet": {"domainRules": [{"name": "r", "kind": "TRANSFORM", "mode": "WRITE"}]}},
            "has rules",
        ),
    ],
)
async def test_a_subject_that_can_not_be_written_by_stops_the_start(
    schema: dict[str, Any], kind: str, more: dict[str, Any], words: str
) -> None:
    async with http_registry() as registry:
        registry.add("e-value", schema, kind, **more)
        made = registry.settings(format="avro")
        with pytest.raises(Misconfigured, match=words):
            await SchemaWriter(RegistryClient(made), made, {"e": EVENTS}).open()


async def test_a_message_that_does_not_fit_is_told_without_any_of_it() -> None:
    async with http_registry() as registry:
        for form, kind, schema in (
            (
                "avro",
                "AVRO",
                {"type": "record", "name": "E", "fields": [{"name": "x", "type": "int"}]},
            ),
            ("json-schema", "JSON", {"title": "E", "type": "object", "required": ["x"]}),
        ):
            registry.add(f"{form}-value", schema, kind)
            made = registry.settings(format=form)
            writer = SchemaWriter(RegistryClient(made), made, {form: EVENTS})
            await writer.open()
            with pytest.raises(Unencodable) as refused:
                writer.encode(form, FULL_EVENT)
            assert str(FULL_EVENT.text) not in str(refused.value)
            assert f"{form}-value" in str(refused.value)
