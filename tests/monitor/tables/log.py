"""A topic in memory, as the export reads it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from runtime.kafka.topic_log import Span, StoredRecord
from schemas import AffectEvent
from tests.monitor.live.made import T0, event

WRITTEN = datetime(2026, 3, 5, tzinfo=UTC)
"""When the first record was written; each next one a second later."""


class FakeLog:
    """Partitions of values. Where one is `MARKER`, its offset is a transaction's marker."""

    def __init__(self, *partitions: Sequence[bytes | None], identity: str = "id-1") -> None:
        self.partitions = [list(one) for one in partitions]
        self.identity = identity
        self.starts = [0] * len(partitions)
        self.read_offsets = 0
        self.timestamps: dict[int, int] = {}
        """Other times of records than usual, Unix ms by offset."""

    async def topic_id(self) -> str:
        return self.identity

    async def held(self) -> dict[int, Span]:
        return {
            number: Span(self.starts[number], len(values))
            for number, values in enumerate(self.partitions)
        }

    async def offsets_at(self, moment: datetime) -> dict[int, int]:
        seconds = max(0, round((moment - WRITTEN).total_seconds()))
        return {
            number: min(len(values), max(self.starts[number], seconds))
            for number, values in enumerate(self.partitions)
        }

    async def read(self, spans: Mapping[int, Span]) -> AsyncGenerator[StoredRecord, None]:
        for number, span in spans.items():
            for offset in range(span.start, span.end):
                value = self.partitions[number][offset]
                if value is MARKER:
                    continue
                self.read_offsets += 1
                written = WRITTEN + timedelta(seconds=offset)
                timestamp_ms = round(written.timestamp() * 1000)
                yield StoredRecord(
                    partition=number,
                    offset=offset,
                    timestamp_ms=self.timestamps.get(offset, timestamp_ms),
                    key=b"k",
                    value=value,
                )


MARKER = b"a transaction's marker"


def encoded(*events: AffectEvent) -> list[bytes | None]:
    return [msgspec.json.encode(one) for one in events]


def days(count: int, *, of: int = 2) -> list[bytes | None]:
    """So many events, by turns of so many days."""
    return encoded(
        *(event(n, created_at=T0 + timedelta(days=n % of, seconds=n)) for n in range(count))
    )
