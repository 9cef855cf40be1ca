"""Values that are no JSON, recognised by how they begin, so that a dead letter names what came."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy"),
    (b"PK\x03\x04", "a zip archive"),
    (b"Obj\x01", "an Avro file"),
    (b"\xc3\x01", "Avro (single object)"),
)

_COMPRESSED = frozenset({"gzip", "zstd", "lz4", "snappy"})
_REGISTRY_BYTES = 5
"""Confluent's and Apicurio's framing: a zero byte, and the schema's id in four."""


def name_framing(value: bytes) -> str | None:
    """Say what a value is that isn't JSON, and what to do; None where nothing is recognised.

    Never quotes any of it.
    """
    for magic, name in _MAGIC:
        if value.startswith(magic):
            if name in _COMPRESSED:
                return (
                    f"the value is {name}: let the producer send plain JSON, and compress by"
                    " Kafka's compression.type"
                )
            return f"the value is {name}: posts are read as JSON only"
    if len(value) > _REGISTRY_BYTES and value[0] == 0:
        schema = int.from_bytes(value[1:_REGISTRY_BYTES], "big")
        inside = "JSON" if value[_REGISTRY_BYTES : _REGISTRY_BYTES + 1] == b"{" else "Avro or such"
        return (
            f"the value has a schema registry's framing (schema id {schema}, then {inside}):"
            ' set input.value = "registry" and registry.urls (docs/schema-registry.md), or let the'
            " producer send plain JSON"
        )
    return None
