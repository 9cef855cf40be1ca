"""Affect events off their topic, all partitions merged by event time, undecodable ones counted."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from monitor.events import Reading, decode
from runtime.kafka.ordered import OrderedReader
from runtime.kafka.topic_log import KafkaTopicLog
from runtime.registry.framing import read_framing


class Arrived(NamedTuple):
    """One record of the events' topic."""

    partition: int
    offset: int
    at: float
    """The record's timestamp, Unix seconds; where it has none, when its event was made."""
    key: bytes | None
    event: Reading | None
    """None for a tombstone, and for what is no event."""
    tombstone: bool
    unanswered: bool
    """Whether a task has no value."""
    framed: bool = False
    """Whether it is no event since a schema registry frames it, and it could not be read by one."""


def read_record(record: Any, *, future_s: float) -> tuple[float, Arrived]:
    """Decode a record as aiokafka gives it; give the event time that orders it, too.

    A post's time counts at most `future_s` seconds past its record's.
    """
    at = record.timestamp / 1000
    value = record.value
    event: Reading | None = None
    framed = False
    if value is not None:
        try:
            event = decode(value)
        except msgspec.DecodeError:
            framed = read_framing(value, record.headers) is not None
    if event is not None and record.timestamp <= 0:  # -1 is Kafka's "none"
        at = event.processed_at.timestamp()
    time = at if event is None else min(event.created_at.timestamp(), at + future_s)
    # Quotes inside of a text are escaped: this can only be the field itself.
    unanswered = value is not None and b'"unanswered":{"' in value
    arrived = Arrived(
        record.partition, record.offset, at, record.key, event, value is None, unanswered, framed
    )
    return time, arrived


class Intake:
    """The events from given offsets on, and which partitions have nothing more to give."""

    def __init__(
        self,
        log: KafkaTopicLog,
        starts: Mapping[int, int],
        *,
        idle_after_s: float,
        future_s: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._reader: OrderedReader[Arrived] = log.reader(
            starts, lambda record: read_record(record, future_s=future_s)
        )
        self._idle_after_s = idle_after_s
        self._monotonic = monotonic
        self._at_end_since: dict[int, float] = {}

    async def take(self, *, timeout_s: float) -> list[Arrived]:
        """Wait up to `timeout_s` seconds for records.

        Raises:
            KafkaFault: the brokers gave an error instead.
        """
        taken = await self._reader.take(timeout_s=timeout_s)
        for one in taken:
            self._at_end_since.pop(one.partition, None)
        return taken

    def idle(self) -> list[int]:
        """Partitions that were read to their end and have brought nothing for a while since.

        Being at the end isn't enough: one that is written to slowly is at its end all the time.
        Nor is the while: one whose leader is away is not at its end.
        """
        now = self._monotonic()
        idle = []
        for tp in self._reader.positions:
            if not self._reader.at_end(tp):
                self._at_end_since.pop(tp.partition, None)
            elif now - self._at_end_since.setdefault(tp.partition, now) >= self._idle_after_s:
                idle.append(tp.partition)
        return idle

    def positions(self) -> dict[int, int]:
        """The next offset of each partition; transaction markers are stepped over."""
        return {tp.partition: offset for tp, offset in self._reader.positions.items()}

    def lag(self) -> dict[int, int]:
        """Offsets between position and the end at the last fetch, by partition, where known."""
        lag = {}
        for tp, position in self._reader.positions.items():
            end = self._reader.end(tp)
            if end is not None:
                lag[tp.partition] = max(0, end - position)
        return lag
