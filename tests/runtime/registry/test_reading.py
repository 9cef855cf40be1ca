"""Schemas are asked for once, waited for while the registry is down, and never guessed."""

import asyncio
import io
import json
from typing import Any

import fastavro
import pytest
from structlog.testing import capture_logs

from runtime.kafka.errors import Denied
from runtime.registry.client import RegistryClient
from runtime.registry.errors import RegistryUnavailable, Undecodable
from runtime.registry.framing import Framed, SchemaRef, read_framing
from runtime.registry.reading import UNKNOWN_S, SchemaReader
from tests.polling import until
from tests.runtime.fake_clock import FakeClock
from tests.runtime.registry.http_registry import HttpRegistry, http_registry

POST = {
    "type": "record",
    "name": "Toot",
    "fields": [{"name": "id", "type": "long"}, {"name": "text", "type": ["null", "string"]}],
}
VALUE = b"\0\0\0\0\1" + b"\x0e\x02\x04hi"
FRAMED = Framed(SchemaRef(id=1), 5)


def reader_of(registry: HttpRegistry, clock: FakeClock | None = None) -> SchemaReader:
    return SchemaReader(RegistryClient(registry.settings()), clock=clock)


async def test_many_at_once_ask_one_question() -> None:
    async with http_registry() as registry:
        registry.add("s", POST)
        reader = reader_of(registry)
        await asyncio.gather(*(reader.know([FRAMED.ref]) for _ in range(20)))
        await reader.know([FRAMED.ref])
        assert registry.total() == 1
        assert json.loads(reader.decode(VALUE, FRAMED)) == {"id": 7, "text": "hi"}


async def test_an_unknown_id_is_asked_for_once_a_minute() -> None:
    async with http_registry() as registry:
        clock = FakeClock()
        reader = reader_of(registry, clock)
        with capture_logs() as logs:
            for _ in range(5):
                await reader.know([FRAMED.ref])
        assert registry.total() == 1
        assert [entry["event"] for entry in logs] == ["schema_unknown"]
        with pytest.raises(Undecodable, match="has no schema of id 1") as refused:
            reader.decode(VALUE, FRAMED)
        assert refused.value.problem == "unknown_schema"
        registry.add("s", POST)  # the producer was ahead of the registry
        clock.now += UNKNOWN_S
        await reader.know([FRAMED.ref])
        assert json.loads(reader.decode(VALUE, FRAMED))["text"] == "hi"


async def test_a_registry_that_is_down_is_waited_for_and_the_log_says_so() -> None:
    async with http_registry() as registry:
        registry.add("s", POST)
        registry.fault = "503"
        reader = reader_of(registry)
        with capture_logs() as logs:
            waiting = asyncio.ensure_future(reader.wait_for([FRAMED.ref]))
            await until(lambda: registry.total() >= 2)
            down = reader.unavailable
            registry.fault = ""
            await waiting
        assert (down, reader.unavailable) == (True, False)
        assert [entry["event"] for entry in logs] == [
            "registry_unreachable",
            "registry_reachable",
        ]
        with pytest.raises(LookupError):  # never asked for: no verdict
            reader.decode(VALUE, Framed(SchemaRef(id=9), 5))


@pytest.mark.parametrize(
    "says",
    ["", "null", "[]", "7", '{"status":"down for maintenance"}', '{"schema":null}', "[" * 9_999],
)
async def test_an_answer_without_a_schema_is_none_and_not_kept(says: str) -> None:
    """As a gateway gives it, with status 200: posts wait, and none becomes a dead letter."""
    async with http_registry() as registry:
        registry.add("s", POST)
        registry.says = says
        reader = reader_of(registry)
        with pytest.raises(RegistryUnavailable, match="no registry's"):
            await reader.know([FRAMED.ref])
        assert not reader.knows(FRAMED.ref)
        registry.says = None
        await reader.know([FRAMED.ref])
        assert json.loads(reader.decode(VALUE, FRAMED)) == {"id": 7, "text": "hi"}


async def test_an_id_that_can_not_be_is_not_asked_for() -> None:
    """Confluent's registry answers 404 as to a wrong path, so its posts would wait for good."""
    value = b"\0\xff\xff\xff\xffhi"
    framed = read_framing(value)
    assert framed is not None
    async with http_registry() as registry:
        reader = reader_of(registry)
        await reader.know([framed.ref])
        assert registry.total() == 0
        with pytest.raises(Undecodable) as refused:
            reader.decode(value, framed)
    assert refused.value.problem == "unknown_schema"


async def test_a_registry_that_refuses_us_is_not_waited_for() -> None:
    async with http_registry() as registry:
        registry.fault = "401"
        with pytest.raises(Denied):
            await reader_of(registry).wait_for([FRAMED.ref])


async def test_a_caller_that_gives_up_leaves_the_question_to_the_others() -> None:
    async with http_registry() as registry:
        registry.add("s", POST)
        registry.fault = "hang"
        reader = reader_of(registry)
        first = asyncio.ensure_future(reader.know([FRAMED.ref]))
        second = asyncio.ensure_future(reader.know([FRAMED.ref]))
        await until(lambda: registry.total() == 1)
        first.cancel()
        registry.released.set()
        await second
        assert first.cancelled()
        assert reader.knows(FRAMED.ref)


async def test_schemas_that_refer_to_others_are_read_whole() -> None:
    async with http_registry() as registry:
        inner = {"type": "record", "name": "a.Who", "fields": [{"name": "name", "type": "string"}]}
        registry.add("who", inner)
        outer = {
            "type": "record",
            "name": "a.Post",
            "fields": [{"name": "by", "type": "a.Who"}],
        }
        refers = [{"name": "a.Who", "subject": "who", "version": 1}]
        number = registry.add("post", outer, references=refers)
        framed = Framed(SchemaRef(id=number), 5)
        reader = reader_of(registry)
        await reader.know([framed.ref])
        value = b"\0\0\0\0" + bytes((number,)) + b"\x06ann"
        assert json.loads(reader.decode(value, framed)) == {"by": {"name": "ann"}}


@pytest.mark.parametrize(
    "payload", [b"\x0e\x02\xff\xff\xff\xff\x0f", b"\x0e\x08", b"\xff" * 30, b"\x0e\x02\x04\xff\xfe"]
)
async def test_broken_avro_is_refused_without_quoting_it(payload: bytes) -> None:
    async with http_registry() as registry:
        registry.add("s", POST)
        reader = reader_of(registry)
        await reader.know([FRAMED.ref])
        with pytest.raises(Undecodable, match="isn't what the schema of id 1 says") as refused:
            reader.decode(b"\0\0\0\0\1" + payload, FRAMED)
        assert refused.value.problem == "not_its_schema"


QUOTING = {
    "type": "record",
    "name": "Post",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "quoted", "type": ["null", "Post"]},
        {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "Post"}}},
    ],
}


async def test_as_many_nulls_as_there_are_bytes_for_are_read_by_a_recursive_schema() -> None:
    many = {"type": "array", "items": ["null", "Post"]}
    fields = [{"name": "many", "type": many}]
    async with http_registry() as registry:
        registry.add("s", {"type": "record", "name": "Post", "fields": fields})
        reader = reader_of(registry)
        await reader.know([FRAMED.ref])
        value = b"\x80\xb5\x18" + b"\0" * 200_000 + b"\0"
        assert len(json.loads(reader.decode(VALUE[:5] + value, FRAMED))["many"]) == 200_000


async def test_a_value_that_is_nested_without_end_is_refused_and_kills_nobody() -> None:
    """The process went with it (SIGSEGV): a schema whose posts quote posts suffices."""
    async with http_registry() as registry:
        registry.add("s", QUOTING)
        reader = reader_of(registry)
        await reader.know([FRAMED.ref])

        def value(depth: int) -> bytes:
            return VALUE[:5] + b"\x02a\x02" * depth + b"\x02a\x00" + b"\x00" * (depth + 1)

        found = json.loads(reader.decode(value(100), FRAMED))
        depth = 0
        while found["quoted"] is not None:
            found, depth = found["quoted"], depth + 1
        assert depth == 100
        for endless in (value(20_000), VALUE[:5] + b"\x02a\x02" * 20_000):
            with pytest.raises(Undecodable) as refused:
                reader.decode(endless, FRAMED)
            assert refused.value.problem == "not_its_schema"


_EMPTY: dict[str, Any] = {"type": "record", "name": "Empty", "fields": []}
_TWICE = [_EMPTY] + [
    {
        "type": "record",
        "name": f"Twice{number}",
        "fields": [
            {"name": "one", "type": f"Twice{number - 1}" if number else "Empty"},
            {"name": "two", "type": f"Twice{number - 1}" if number else "Empty"},
        ],
    }
    for number in range(40)
]


@pytest.mark.parametrize(
    ("held", "payload"),
    [
        ({"type": "array", "items": "null"}, b"\xfe\xff\xff\xff\xff\x7f\0"),
        ({"type": "array", "items": _EMPTY}, b"\xfe\xff\xff\xff\xff\x7f\0"),
        ({"type": "array", "items": _EMPTY}, b"\xff\xff\xff\xff\xff\x7f\0\0"),  # by its bytes
        (
            {"type": "array", "items": {"type": "fixed", "name": "Fixed", "size": 0}},
            b"\xfe\xff\xff\xff\xff\x7f\0",
        ),
        (_TWICE, b"\x50"),  # each record twice the one before: 2^40 of them in no bytes
    ],
    ids=["nulls", "empty records", "negative count", "fixed of no bytes", "records of records"],
)
async def test_a_few_bytes_that_would_fill_the_memory_are_refused(
    held: Any, payload: bytes
) -> None:
    """Seven bytes said that there are 2^40 nulls: gigabytes a second, to the last."""
    async with http_registry() as registry:
        fields = [{"name": "held", "type": held}]
        registry.add("s", {"type": "record", "name": "Post", "fields": fields})
        reader = reader_of(registry)
        await reader.know([FRAMED.ref])
        with pytest.raises(Undecodable, match="take no bytes") as refused:
            reader.decode(VALUE[:5] + payload, FRAMED)
        assert refused.value.problem == "not_its_schema"


async def test_some_values_that_take_no_bytes_are_read() -> None:
    item = {
        "type": "record",
        "name": "Item",
        "fields": [{"name": "number", "type": "long"}, {"name": "never", "type": "null"}],
    }
    fields = [
        {"name": "nulls", "type": {"type": "array", "items": "null"}},
        {"name": "items", "type": {"type": "array", "items": item}},
        {"name": "by_name", "type": {"type": "map", "values": ["null", "Item"]}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["a", "b"]}},
        {"name": "price", "type": "double"},
    ]
    value = {
        "nulls": [None] * 3,
        "items": [{"number": 4, "never": None}] * 2,
        "by_name": {"x": None, "y": {"number": 5, "never": None}},
        "kind": "b",
        "price": 1.5,
    }
    schema = {"type": "record", "name": "Post", "fields": fields}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    async with http_registry() as registry:
        registry.add("s", schema)
        reader = reader_of(registry)
        await reader.know([FRAMED.ref])
        assert json.loads(reader.decode(VALUE[:5] + out.getvalue(), FRAMED)) == value


async def test_a_decimal_with_more_digits_than_its_schema_allows_is_refused() -> None:
    """A megabyte of them kept the event loop for minutes."""
    price = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
    fields = [{"name": "price", "type": price}]
    async with http_registry() as registry:
        registry.add("s", {"type": "record", "name": "Post", "fields": fields})
        reader = reader_of(registry)
        await reader.know([FRAMED.ref])
        assert json.loads(reader.decode(VALUE[:5] + b"\x04\x04\xd2", FRAMED)) == {"price": "12.34"}
        with pytest.raises(Undecodable) as refused:
            reader.decode(VALUE[:5] + b"\x64" + b"\x7f" * 50, FRAMED)
        assert refused.value.problem == "not_its_schema"


async def test_a_kind_of_schema_that_is_not_read_is_named() -> None:
    async with http_registry() as registry:
        registry.add("s", "syntax = proto3", "PROTOBUF")
        reader = reader_of(registry)
        await reader.know([FRAMED.ref])
        with pytest.raises(Undecodable, match="of type PROTOBUF"):
            reader.decode(VALUE, FRAMED)


async def test_a_reader_without_patience_says_that_the_registry_is_down() -> None:
    async with http_registry() as registry:
        registry.fault = "503"
        with pytest.raises(RegistryUnavailable):
            await reader_of(registry).decode_all([(VALUE, ())])


async def test_more_unknown_ids_at_once_than_are_remembered_are_values_that_can_not_be_read() -> (
    None
):
    async with http_registry() as registry:
        reader = SchemaReader(RegistryClient(registry.settings()), max_schemas=2)
        junk = [bytes([0, 0, 0, 0, number]) + b"junk" for number in range(1, 6)]
        assert await reader.decode_all([(value, ()) for value in junk]) == junk
