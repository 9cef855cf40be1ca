"""What travels through the consumer: records in, outcomes out, each with its offset."""

import msgspec

from schemas import DeadLetter


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One Kafka record as it was consumed."""

    topic: str
    partition: int
    offset: int
    epoch: int
    """Assignment epoch of the partition: a finish for a lost epoch commits nothing."""
    timestamp_ms: int
    """The record's own timestamp, Unix milliseconds; -1 where its producer set none."""
    received_at: float
    """Wall clock when it was received, Unix seconds."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    """In their order; Kafka allows repeated names and null values."""

    @property
    def nbytes(self) -> int:
        """Bytes that count towards the in-flight bound: key, value and headers."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += len(name) + len(value or b"")
        return size


class Emit(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a good record: one event, encoded and ready to publish."""

    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


SKIP_RULES = (
    *("tombstone", "where", "ignore", "langs"),
    *("delete", "repost", "not_a_post", "opted_out"),  # the presets'
)
"""Every rule by which a record is skipped."""


class Skip(msgspec.Struct, frozen=True):
    """The outcome of a record that is no post: settled and counted, never published."""

    rule: str
    """Why, a metric's label: one of few, such as `where` or `delete`."""


Published = Emit | DeadLetter
"""What goes to a topic, and settles its record once it is acknowledged."""

Outcome = Published | Skip
"""A record ends as exactly one of these, or stays uncommitted."""
