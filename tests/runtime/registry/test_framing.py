"""Where a record names its schema is found, and JSON is never taken for framed."""

import struct
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from runtime.registry.framing import HEADER, Framed, SchemaRef, header_of, read_framing

ids = st.integers(min_value=0, max_value=2**32 - 1)
payloads = st.binary(min_size=1, max_size=50)


@given(number=ids, payload=payloads)
def test_a_prefix_gives_the_id_and_where_the_payload_begins(number: int, payload: bytes) -> None:
    value = struct.pack(">bI", 0, number) + payload
    framed = read_framing(value)
    assert framed == Framed(SchemaRef(id=number), 5)
    assert value[framed.payload_at :] == payload


@given(
    ref=st.one_of(
        ids.map(lambda n: SchemaRef(id=n)), st.uuids().map(lambda u: SchemaRef(guid=str(u)))
    )
)
def test_a_header_gives_the_schema_and_leaves_the_value_alone(ref: SchemaRef) -> None:
    assert read_framing(b"{}", [("other", b"x"), header_of(ref)]) == Framed(ref, 0)


def test_the_header_of_a_guid_is_what_the_official_client_writes() -> None:
    guid = UUID("9b4c23b2-6eb1-4d97-b6c9-f4b5be18cb0c")
    assert header_of(SchemaRef(guid=str(guid))) == (HEADER, b"\x01" + guid.bytes)


@given(text=st.text(min_size=1))
def test_text_is_never_framed_unless_it_begins_with_a_zero(text: str) -> None:
    value = text.encode(errors="replace")
    assert (read_framing(value) is None) == (value[:1] != b"\0" or len(value) < 6)


@given(content=st.binary(max_size=16))
def test_a_header_that_is_none_is_left_alone(content: bytes) -> None:
    found = read_framing(b'{"id": 1}', [(HEADER, content), (HEADER, None)])
    assert found is None or content[:1] == b"\0"
