"""Dead letters: list them, show one, send them back to where they came from.

Read to the end that the topic has when a tool starts, without joining a group: no consumer is
disturbed, and dead letters that arrive meanwhile wait for the next call. They are left where they
are; the broker's retention removes them.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Any

import msgspec

from producer.errors import NoSuchDeadLetter
from runtime.kafka.connection import Broker
from runtime.kafka.topic_log import Span, StoredRecord, TopicLog, kafka_topic_log
from schemas import DeadLetter, NotADeadLetterError, read_dead_letter
from schemas.headers import replays

DEFAULT_TOPIC = "affect.dlq"


class StoredDeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter and where it is."""

    partition: int
    offset: int
    written_at: datetime
    """When it was written to the dead-letter topic (UTC)."""
    replays: int
    """How often its record had been replayed before it failed again."""
    dead: DeadLetter
    """What it holds."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a listing: no key, value or header of the record itself."""

    partition: int
    offset: int
    written_at: datetime
    replays: int
    class_name: str
    stage: str
    message: str
    attempts: int
    model: str | None
    from_topic: str
    from_partition: int
    from_offset: int
    value_bytes: int


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a dead-letter topic holds, by a filter."""

    dead_letters: tuple[Summary, ...]
    """The newest of those that match, over all partitions; oldest first."""
    by_class: dict[str, int]
    """Error class to how many match, most frequent first."""
    by_topic: dict[str, int]
    """Original topic to how many match."""
    matched: int
    unreadable: int
    """Records on the topic that are no dead letters."""


@dataclass(frozen=True, kw_only=True)
class DeadLetterFilter:
    """Which dead letters; every condition that is set must hold."""

    class_names: frozenset[str] = frozenset()
    """Error classes; empty for any."""
    topics: frozenset[str] = frozenset()
    """Original topics; empty for any."""
    stages: frozenset[str] = frozenset()
    since: datetime | None = None
    """Written to the dead-letter topic then or later."""
    until: datetime | None = None
    """Written before then."""

    def admits(self, stored: StoredDeadLetter) -> bool:
        """Whether it is one of these."""
        return (
            (not self.class_names or stored.dead.class_name in self.class_names)
            and (not self.topics or stored.dead.topic in self.topics)
            and (not self.stages or stored.dead.stage in self.stages)
            and (self.since is None or stored.written_at >= self.since)
            and (self.until is None or stored.written_at < self.until)
        )


async def list_dead_letters(
    broker: Broker,
    *,
    topic: str = DEFAULT_TOPIC,
    dead_letter_filter: DeadLetterFilter | None = None,
    limit: int = 100,
    log: TopicLog | None = None,
) -> Listing:
    """Count the dead letters that match, and give the newest `limit` of them.

    Raises:
        Unreachable, TopicMissing, ReadingStalled
    """
    wanted = dead_letter_filter or DeadLetterFilter()
    newest: list[tuple[datetime, int, int, Summary]] = []  # a heap, the oldest on top
    by_class: Counter[str] = Counter()
    by_topic: Counter[str] = Counter()
    unreadable = 0
    async with AsyncExitStack() as stack:
        if log is None:
            log = await stack.enter_async_context(kafka_topic_log(topic, broker))
        async for stored in read_dead_letters(log, await log.spans(since=wanted.since)):
            if stored is None:
                unreadable += 1
            elif wanted.admits(stored):
                by_class[stored.dead.class_name] += 1
                by_topic[stored.dead.topic] += 1
                one = summary_of(stored)
                heappush(newest, (one.written_at, one.partition, one.offset, one))
                if len(newest) > limit:
                    heappop(newest)
    return Listing(
        dead_letters=tuple(entry[-1] for entry in sorted(newest)),
        by_class=dict(by_class.most_common()),
        by_topic=dict(by_topic.most_common()),
        matched=by_class.total(),
        unreadable=unreadable,
    )


async def show_dead_letter(
    broker: Broker,
    partition: int,
    offset: int,
    *,
    topic: str = DEFAULT_TOPIC,
    log: TopicLog | None = None,
) -> StoredDeadLetter:
    """Give the dead letter at this place of the dead-letter topic, whole.

    Raises:
        NoSuchDeadLetter: there is no record, or it is no dead letter.
        Unreachable, TopicMissing, ReadingStalled
    """
    async with AsyncExitStack() as stack:
        if log is None:
            log = await stack.enter_async_context(kafka_topic_log(topic, broker))
        held = (await log.spans()).get(partition, Span(0, 0))
        if held.start <= offset < held.end:
            async for record in log.read({partition: Span(offset, offset + 1)}):
                try:
                    return stored_dead_letter(record)
                except NotADeadLetterError as error:
                    raise NoSuchDeadLetter(
                        f"{topic}/{partition}/{offset} is no dead letter: {error}"
                    ) from error
    raise NoSuchDeadLetter(f"there is no record at {topic}/{partition}/{offset}")


def describe(stored: StoredDeadLetter, *, with_value: bool = False) -> dict[str, Any]:
    """A dead letter as JSON can say it: its summary and headers; key and value only `with_value`.

    Bytes that are no UTF-8 are shown as Python would, by backslash, x and two digits.
    """
    dead = stored.dead
    shown: dict[str, Any] = msgspec.to_builtins(summary_of(stored))
    shown["first_seen"] = dead.first_seen.isoformat()
    shown["timestamp_ms"] = dead.timestamp_ms
    shown["headers"] = [[name, _shown(value)] for name, value in dead.headers]
    if with_value:
        shown["key"], shown["value"] = _shown(dead.key), _shown(dead.value)
    return shown


def summary_of(stored: StoredDeadLetter) -> Summary:
    """One line about a dead letter."""
    dead = stored.dead
    return Summary(
        partition=stored.partition,
        offset=stored.offset,
        written_at=stored.written_at,
        replays=stored.replays,
        class_name=dead.class_name,
        stage=dead.stage,
        message=dead.message,
        attempts=dead.attempts,
        model=dead.model,
        from_topic=dead.topic,
        from_partition=dead.partition,
        from_offset=dead.offset,
        value_bytes=len(dead.value or b""),
    )


async def read_dead_letters(
    log: TopicLog, spans: Mapping[int, Span]
) -> AsyncIterator[StoredDeadLetter | None]:
    """Yield every dead letter of the spans; None for a record that is no dead letter."""
    async for record in log.read(spans):
        try:
            yield stored_dead_letter(record)
        except NotADeadLetterError:
            yield None


def stored_dead_letter(record: StoredRecord) -> StoredDeadLetter:
    """Read one record of a dead-letter topic.

    Raises:
        NotADeadLetterError: it isn't one.
    """
    dead = read_dead_letter(record.key, record.value, record.headers)
    return StoredDeadLetter(
        partition=record.partition,
        offset=record.offset,
        written_at=datetime.fromtimestamp(record.timestamp_ms / 1000, UTC),
        replays=replays(dead.headers),
        dead=dead,
    )


def _shown(data: bytes | None) -> str | None:
    return None if data is None else data.decode(errors="backslashreplace")
