"""Posts of other people's Avro and JSON Schemas, framed as their producers frame them."""

import io
from typing import Any

import fastavro

TOOT: dict[str, Any] = {
    "type": "record",
    "name": "Toot",
    "namespace": "org.example",
    "fields": [
        {"name": "number", "type": "long"},
        {"name": "said", "type": {"type": "record", "name": "Said", "fields": [
            {"name": "words", "type": ["null", "string"]},
            {"name": "tongue", "type": ["null", "string"], "default": None},
        ]}},
        {"name": "when", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
    ],
}  # fmt: skip
"""As `FIELDS` maps it."""

FIELDS = {
    "id": "number",
    "text": "said.words",
    "lang": "said.tongue",
    "created_at": "when",
    "topics": "tags",
}


def framed(number: int, payload: bytes) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + payload


def toot(words: str | None, number: int = 7) -> bytes:
    """One post in Avro, without framing."""
    out = io.BytesIO()
    fields = {
        "number": number,
        "said": {"words": words, "tongue": "en"},
        "when": 1_700_000_000_250,
        "tags": ["trains"],
    }
    fastavro.schemaless_writer(out, fastavro.parse_schema(TOOT), fields)
    return out.getvalue()
