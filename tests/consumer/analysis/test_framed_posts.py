"""Posts that a schema registry frames: read by the mapping, and refused with their own bytes."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from consumer.analysis.decoder import Decoded, Decoder
from consumer.analysis.schemas_first import SchemasFirst
from consumer.dead_letters import counts_for_fuse
from consumer.processor import Done
from consumer.records import Record, Skip
from consumer.settings import Fields, Input
from runtime.errors import AccessDenied
from runtime.registry.client import RegistryClient
from runtime.registry.framing import SchemaRef
from runtime.registry.reading import SchemaReader
from schemas import DeadLetter
from tests.consumer.records import make_record
from tests.polling import until
from tests.runtime.registry.http_registry import HttpRegistry, http_registry
from tests.runtime.registry.made import FIELDS, TOOT, framed, toot

MAPPED = Input(value="registry", fields=Fields(**FIELDS))


async def decoded(
    registry: HttpRegistry, value: bytes, options: Input = MAPPED, **more: Any
) -> Decoded | Skip | DeadLetter:
    reader = SchemaReader(RegistryClient(registry.settings()))
    await reader.know([SchemaRef(id=number) for number in range(1, 5)])
    return Decoder(options, schemas=reader).decode(make_record(value, **more))


async def test_avro_is_read_by_the_same_mapping_as_json() -> None:
    async with http_registry() as registry:
        number = registry.add("posts-value", TOOT)
        found = await decoded(registry, framed(number, toot("Late again.")))
        tree = {
            "number": 7,
            "said": {"words": "Late again.", "tongue": "en"},
            "when": "2023-11-14T22:13:20.25Z",
            "tags": ["trains"],
        }
        plain = Decoder(MAPPED).decode(make_record(json.dumps(tree).encode()))
    assert isinstance(found, Decoded)
    assert found == plain
    assert found.post.text == "Late again."


async def test_json_by_a_json_schema_and_plain_json_are_read_beside_avro() -> None:
    options = Input(value="registry")
    post = b'{"id":"1","text":"Hello."}'
    async with http_registry() as registry:
        number = registry.add("posts-value", {"title": "Post", "type": "object"}, "JSON")
        for value in (framed(number, post), post):
            found = await decoded(registry, value, options)
            assert isinstance(found, Decoded)
            assert found.post.text == "Hello."


@pytest.mark.parametrize(
    ("number", "payload", "reason"),
    [
        (1, b"\xff" * 20, "NotItsSchema"),
        (4, toot("Hello."), "UnknownSchema"),
        (1, toot(None), "MissingField"),
        (2, b"{broken", "NotJson"),
    ],
)
async def test_what_can_not_be_read_is_a_dead_letter_with_the_bytes_as_they_came(
    number: int, payload: bytes, reason: str
) -> None:
    async with http_registry() as registry:
        registry.add("posts-value", TOOT)
        registry.add("posts-value", {"title": "Post", "type": "object"}, "JSON")
        headers = (("x", b"y"),)
        value = framed(number, payload)
        found = await decoded(registry, value, key=b"k", headers=headers)
    assert isinstance(found, DeadLetter)
    assert (found.class_name, found.stage) == (reason, "decode")
    assert (found.key, found.value, found.headers) == (b"k", value, headers)
    assert counts_for_fuse(found)


async def test_without_a_registry_the_dead_letter_says_what_to_configure() -> None:
    found = Decoder().decode(make_record(framed(7, toot("Hello."))))
    assert isinstance(found, DeadLetter)
    assert found.class_name == "NotJson"
    assert "schema id 7" in found.message
    assert "input.value" in found.message


class Analysis:
    """Gives each record an outcome at once, and remembers the order."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    async def __call__(self, records: Sequence[Record], done: Done) -> None:
        for record in records:
            self.seen.append(record.offset)
            done(record, Skip("where"))


def mixed() -> list[Record]:
    return [
        make_record(b'{"id":"1","text":"Hello."}', 0),
        make_record(framed(1, toot("Hello.")), 1),
        make_record(None, 2),
    ]


async def test_a_registry_that_is_down_keeps_only_those_waiting_that_need_a_new_schema() -> None:
    async with http_registry() as registry:
        number = registry.add("posts-value", TOOT)
        assert number == 1
        registry.fault = "503"
        reader = SchemaReader(RegistryClient(registry.settings()))
        first, analyse, ended = SchemasFirst(reader), Analysis(), list[int]()
        work = asyncio.ensure_future(
            first.process(analyse, mixed(), lambda record, _: ended.append(record.offset))
        )
        await until(lambda: first.out)
        assert ended == [0, 2]
        assert first.waiting == 1
        registry.fault = ""
        await work
        assert ended == [0, 2, 1]
        assert (first.waiting, first.out) == (0, False)
        asked = registry.total()
        await first.process(analyse, mixed(), lambda _record, _outcome: None)
        assert registry.total() == asked


async def test_a_registry_that_refuses_us_ends_the_service() -> None:
    async with http_registry() as registry:
        registry.fault = "401"
        first = SchemasFirst(SchemaReader(RegistryClient(registry.settings())))
        with pytest.raises(AccessDenied, match=r"registry\.username"):
            await first.process(Analysis(), mixed(), lambda _record, _outcome: None)
        assert first.waiting == 0


async def test_a_cancelled_batch_leaves_nothing_behind() -> None:
    async with http_registry() as registry:
        registry.fault = "hang"
        first = SchemasFirst(SchemaReader(RegistryClient(registry.settings())))
        work = asyncio.ensure_future(
            first.process(Analysis(), mixed(), lambda _record, _outcome: None)
        )
        await until(lambda: first.waiting == 1)
        work.cancel()
        await asyncio.wait([work])
        assert first.waiting == 0
