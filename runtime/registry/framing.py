"""Where a record says by which schema its value is written: Confluent's wire formats.

A zero byte, the schema's id in four bytes, and the payload; or the payload alone, and the header
`__value_schema_id` with a one byte and the schema's GUID in sixteen.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple
from uuid import UUID

HEADER: Final = "__value_schema_id"
"""The official client's name for it."""
PREFIX_BYTES: Final = 5
_ID, _GUID = 0, 1
_GUID_BYTES = 17


class SchemaRef(NamedTuple):
    """A schema, as a record names it: by one of the two."""

    id: int | None = None
    guid: str | None = None

    def __str__(self) -> str:
        return f"id {self.id}" if self.id is not None else f"GUID {self.guid}"


class Framed(NamedTuple):
    """The schema that a value names, and where its payload begins."""

    ref: SchemaRef
    payload_at: int


def read_framing(value: bytes, headers: Iterable[tuple[str, bytes | None]] = ()) -> Framed | None:
    """The schema that a record names; None for a value without framing. JSON never looks framed."""
    for name, content in headers:
        if name == HEADER and content:
            if content[0] == _GUID and len(content) >= _GUID_BYTES:
                return Framed(SchemaRef(guid=str(UUID(bytes=content[1:_GUID_BYTES]))), 0)
            if content[0] == _ID and len(content) >= PREFIX_BYTES:
                return Framed(SchemaRef(id=int.from_bytes(content[1:PREFIX_BYTES], "big")), 0)
    if len(value) > PREFIX_BYTES and value[0] == _ID:
        return Framed(SchemaRef(id=int.from_bytes(value[1:PREFIX_BYTES], "big")), PREFIX_BYTES)
    return None


def header_of(ref: SchemaRef) -> tuple[str, bytes]:
    """The header that names a schema."""
    if ref.guid is not None:
        return HEADER, bytes((_GUID,)) + UUID(ref.guid).bytes
    assert ref.id is not None
    return HEADER, bytes((_ID,)) + ref.id.to_bytes(4, "big")
