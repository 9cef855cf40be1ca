"""A record that could not become an event, with the reason."""

from datetime import datetime
from typing import Annotated, TypeAlias

import msgspec

Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]
"""A record's headers, in their order; Kafka allows repeated names and null values."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One poison record: its own key, value and headers, and why it was refused.

    On the dead-letter topic the value and key are the original's bytes, and what follows `headers`
    below travels as `__emostream.errors.*` headers (see `schemas.headers`).
    """

    key: bytes | None
    value: bytes | None
    headers: Headers
    topic: str
    partition: int
    offset: int
    stage: str
    """Where on the way it failed: `decode`, `plan`, `infer`, `read` or `publish`."""
    class_name: str
    """Error class, one of the documented names."""
    message: str
    """For a human; never the post's text, a handle or a secret."""
    attempts: int
    model: str | None
    first_seen: Annotated[datetime, msgspec.Meta(tz=True)]
    """When the consumer first took the record up (UTC)."""
    withheld: bool = False
    """Whether key, value and headers are not the record's, since they identify someone."""
    timestamp_ms: int | None = None
    """The record's own timestamp, Unix milliseconds: a replay gives it back to the record."""
