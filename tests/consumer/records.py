"""Records as the consumer fetches them."""

from typing import Any

from consumer.records import Record


def make_record(value: bytes | None, offset: int = 0, **fields: Any) -> Record:
    """Make a record of partition 0 of `posts`, received a second after it was written."""
    defaults: dict[str, Any] = {
        "topic": "posts",
        "partition": 0,
        "epoch": 1,
        "timestamp_ms": 1_700_000_000_000,
        "received_at": 1_700_000_001.0,
        "key": None,
    }
    return Record(value=value, offset=offset, **(defaults | fields))
