"""The Avro schemas are what the structs say, and those of today and of before read each other."""

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given

from runtime.registry.avro import read_json_texts, to_avro, without_nulls
from schemas import AffectEvent, Alert, AlertAction, Mute, Window
from schemas.avro import avro_schema, full_name
from schemas.contracts import ALERTS, EVENTS, MUTES, WINDOWS
from tests.schemas.examples import FULL_EVENT, TWO_MODELS_EVENT, events

read_json_texts()
NOW = fastavro.parse_schema(json.loads(EVENTS.schema("avro")))
BEFORE = fastavro.parse_schema(
    json.loads(Path(__file__).parent.joinpath("v1/affect_event.avsc").read_text(encoding="utf-8"))
)
"""As version 1 was first published: never changed."""


def through(event: AffectEvent, writer: Any, reader: Any) -> AffectEvent:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, writer, to_avro(event))
    tree = fastavro.schemaless_reader(io.BytesIO(out.getvalue()), writer, reader)
    return msgspec.json.decode(msgspec.json.encode(without_nulls(tree)), type=AffectEvent)


@given(event=events)
def test_what_was_written_before_is_read_now(event: AffectEvent) -> None:
    assert through(event, BEFORE, NOW) == event


@given(event=events)
def test_what_is_written_now_is_read_by_readers_of_before(event: AffectEvent) -> None:
    assert through(event, NOW, BEFORE) == event


def test_a_later_field_has_a_default_and_costs_neither_side_anything() -> None:
    later = json.loads(EVENTS.schema("avro"))
    later["fields"].append({"name": "mood", "type": ["null", "string"], "default": None})
    parsed = fastavro.parse_schema(later)
    for event in (FULL_EVENT, TWO_MODELS_EVENT):
        assert through(event, NOW, parsed) == event
        assert through(event, parsed, NOW) == event


def test_every_field_that_may_be_absent_has_a_default() -> None:
    schema = avro_schema(AffectEvent)
    assert isinstance(schema, dict)
    optional = {
        name
        for name, required in zip(
            AffectEvent.__struct_encode_fields__,
            [field.required for field in msgspec.structs.fields(AffectEvent)],
            strict=True,
        )
        if not required
    }
    assert optional == {field["name"] for field in schema["fields"] if "default" in field}


def test_each_topic_has_a_contract_with_both_forms() -> None:
    for contract, kinds in (
        (EVENTS, (AffectEvent,)),
        (WINDOWS, (Window,)),
        (ALERTS, (Alert, AlertAction)),
        (MUTES, (Mute,)),
    ):
        assert contract.structs == kinds
        fastavro.parse_schema(json.loads(contract.schema("avro")))
        assert json.loads(contract.schema("json-schema"))["title"]
        names = [one.record_name("avro") for one in contract.kinds()]
        assert names == [full_name(kind) for kind in kinds]


def test_a_type_without_an_avro_form_is_refused() -> None:
    class Odd(msgspec.Struct):
        either: int | str

    with pytest.raises(TypeError, match="a union of 2 types"):
        avro_schema(Odd)
