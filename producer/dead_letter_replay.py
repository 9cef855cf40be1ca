"""Sending dead letters back to the topic they came from: counted, bounded, never in a loop."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

import msgspec

from producer.dead_letters import (
    DEFAULT_TOPIC,
    DeadLetterFilter,
    StoredDeadLetter,
    stored_dead_letter,
)
from producer.errors import ProducerError
from producer.pacer import Pacer
from producer.report import Observer, Progress
from runtime.clock import Clock, SystemClock
from runtime.kafka.connection import Broker
from runtime.kafka.errors import KafkaFault
from runtime.kafka.producing import (
    BoundedProducer,
    Delivery,
    Outgoing,
    RecordProducer,
    kafka_producer,
)
from runtime.kafka.topic_log import Span, TopicLog, kafka_topic_log
from schemas import NotADeadLetterError
from schemas.headers import REPLAYS

_REFUSED_SAMPLES = 20
_OBSERVE_EVERY_S = 0.1


@dataclass(frozen=True, kw_only=True)
class DlqReplaySettings:
    """What to send back, and where."""

    topic: str = DEFAULT_TOPIC
    dead_letter_filter: DeadLetterFilter = field(default_factory=DeadLetterFilter)
    to_topic: str | None = None
    """None: each dead letter to its original topic."""
    max_replays: int = 3
    """A dead letter that was replayed this often already is refused: it would fail again."""
    limit: int | None = None
    """At most so many dead letters."""
    rate: float | None = None
    """Letters per second; None for as fast as the broker takes them."""
    dry_run: bool = False
    """Count only; send and commit nothing."""
    group: str | None = None
    """Remember in this group's offsets what was replayed, and go on from there the next time.

    Without one every call starts at the oldest dead letter. Committed is the prefix of each
    partition that is done (acknowledged, refused, or no dead letter): one that the filter left out
    holds it back, so that none is ever skipped; some may be replayed twice.
    """
    delivery: Delivery = field(default_factory=Delivery)

    def __post_init__(self) -> None:
        """Refuse what makes no sense, with a ValueError."""
        if self.to_topic == self.topic:
            raise ValueError(f"dead letters can't be replayed into their own topic {self.topic}")
        if self.max_replays < 1:
            raise ValueError("max_replays must be at least 1")


class DlqReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a replay of dead letters ended."""

    matched: int
    """Letters that the filter admitted."""
    replayed: int
    """Acknowledged on their topic; in a dry run those that would be sent."""
    failed: int
    """Sent but not acknowledged: still to be replayed."""
    errors: dict[str, int]
    """Class of the delivery error to how often."""
    refused: int
    """Replayed too often already, withheld, or addressed to the dead-letter topic itself."""
    refused_samples: tuple[tuple[int, int], ...]
    """Partition and offset of the first of the refused."""
    unreadable: int
    """Records on the topic that are no dead letters."""
    by_topic: dict[str, int]
    """Topic to how many dead letters were sent there."""
    older_than_retention: dict[str, int]
    """Topic to how many of these are older, by their timestamp, than its `retention.ms`.

    Kafka may delete them before they are read, unless newer records follow in their partition.
    """
    dry_run: bool
    seconds: float
    failure: str | None = None
    """Why it ended early; None where all was done, or it was asked to stop."""

    @property
    def ok(self) -> bool:
        """Whether the exit status is 0: nothing that was to be sent failed or was refused."""
        return self.failure is None and self.failed == 0 and self.refused == 0


async def replay_dead_letters(
    settings: DlqReplaySettings,
    broker: Broker,
    *,
    observer: Observer | None = None,
    stop: asyncio.Event | None = None,
    clock: Clock | None = None,
    log: TopicLog | None = None,
    producer: RecordProducer | None = None,
) -> DlqReplayReport:
    """Send dead letters back: key, value, own headers and timestamp as they were.

    `__emostream.replays` goes up by one, the reason (`__emostream.errors.*`) is taken off.
    Setting `stop` ends it in good order. `log` and `producer` stand in for Kafka (for tests).

    Raises:
        Unreachable, TopicMissing: before anything is sent.
    """
    async with AsyncExitStack() as stack:
        if log is None:
            log = await stack.enter_async_context(
                kafka_topic_log(settings.topic, broker, group=settings.group)
            )
        sends = None
        if not settings.dry_run:
            if producer is None:
                topics = [settings.to_topic] if settings.to_topic else []
                producer = await stack.enter_async_context(
                    kafka_producer(broker, settings.delivery, topics=topics)
                )
            sends = BoundedProducer(producer, settings.delivery)
        run = _Replay(settings, log, sends, clock or SystemClock(), observer)
        return await run.run(stop or asyncio.Event())


def replayed_record(stored: StoredDeadLetter, topic: str) -> Outgoing:
    """The record that a dead letter was, one replay older."""
    dead = stored.dead
    headers = [header for header in dead.headers if header[0] != REPLAYS]
    return Outgoing(
        topic=topic,
        key=dead.key,
        value=dead.value,
        headers=(*headers, (REPLAYS, str(stored.replays + 1).encode())),
        timestamp_ms=dead.timestamp_ms,
    )


class _Replay:
    def __init__(
        self,
        settings: DlqReplaySettings,
        log: TopicLog,
        sends: BoundedProducer | None,
        clock: Clock,
        observer: Observer | None,
    ) -> None:
        self._settings = settings
        self._log = log
        self._sends = sends
        self._clock = clock
        self._pacer = Pacer(settings.rate, clock)
        self._observer = observer
        self._started = self._observed = clock.monotonic()
        self._matched = self._sent = self._read = self._unreadable = 0
        self._to_read = 0
        self._refused: list[tuple[int, int]] = []
        self._by_topic: Counter[str] = Counter()
        self._older_than_retention: Counter[str] = Counter()
        self._retention_ms: dict[str, int | None] = {}

    async def run(self, stop: asyncio.Event) -> DlqReplayReport:
        wanted = self._settings.dead_letter_filter
        # With a group every dead letter is looked at: one that is left out must hold the commit.
        since = None if self._settings.group else wanted.since
        spans = await self._log.spans(since=since)
        self._to_read = sum(span.end - span.start for span in spans.values())
        done = {partition: _Prefix(span) for partition, span in spans.items()}
        failure = None
        try:
            await self._send_all(spans, done, stop)
        except (ProducerError, KafkaFault) as error:
            failure = str(error)
        if self._sends:
            try:
                await self._sends.drain()
            except (ProducerError, KafkaFault) as error:
                failure = failure or str(error)
            if self._settings.group:
                await self._log.commit(
                    {number: prefix.next for number, prefix in done.items() if prefix.moved}
                )
        self._observe(at_end=True)
        return self._report(failure)

    async def _send_all(
        self, spans: Mapping[int, Span], done: Mapping[int, "_Prefix"], stop: asyncio.Event
    ) -> None:
        settings = self._settings
        if settings.limit == 0:
            return
        async for record in self._log.read(spans):
            if stop.is_set():
                return
            self._read += 1
            settle = done[record.partition].begin(record.offset)
            try:
                stored = stored_dead_letter(record)
            except NotADeadLetterError:
                self._unreadable += 1
                settle()
                continue
            if not settings.dead_letter_filter.admits(stored):
                continue
            self._matched += 1
            target = settings.to_topic or stored.dead.topic
            if (
                stored.replays >= settings.max_replays
                or target == settings.topic
                or stored.dead.withheld  # its value isn't there: it would go back as a tombstone
            ):
                self._refused.append((record.partition, record.offset))
                settle()
                continue
            await self._pacer.wait(stop)
            if stop.is_set():
                self._matched -= 1
                return
            await self._count(stored, target)
            if self._sends:
                await self._sends.send(replayed_record(stored, target), on_ack=settle)
            self._observe()
            if settings.limit is not None and self._sent >= settings.limit:
                return

    async def _count(self, stored: StoredDeadLetter, target: str) -> None:
        self._sent += 1
        self._by_topic[target] += 1
        if target not in self._retention_ms:
            self._retention_ms[target] = await self._log.retention_ms(target)
        at_ms, retention_ms = stored.dead.timestamp_ms, self._retention_ms[target]
        if at_ms is not None and retention_ms is not None:
            self._older_than_retention[target] += at_ms + retention_ms < self._clock.wall() * 1000

    def _report(self, failure: str | None) -> DlqReplayReport:
        sends = self._sends
        return DlqReplayReport(
            matched=self._matched,
            replayed=sends.acked if sends else self._sent,
            failed=sends.failed + sends.in_flight if sends else 0,
            errors=dict(sends.errors) if sends else {},
            refused=len(self._refused),
            refused_samples=tuple(self._refused[:_REFUSED_SAMPLES]),
            unreadable=self._unreadable,
            by_topic=dict(self._by_topic),
            older_than_retention=dict(+self._older_than_retention),
            dry_run=self._settings.dry_run,
            seconds=self._clock.monotonic() - self._started,
            failure=failure,
        )

    def _observe(self, *, at_end: bool = False) -> None:
        now = self._clock.monotonic()
        if not self._observer or (now - self._observed < _OBSERVE_EVERY_S and not at_end):
            return
        self._observed = now
        sends = self._sends
        self._observer(
            Progress(
                sent=self._sent,
                acked=sends.acked if sends else self._sent,
                failed=sends.failed if sends else 0,
                in_flight=sends.in_flight if sends else 0,
                bad_lines=self._unreadable,
                seconds=now - self._started,
                fraction=min(self._read / self._to_read, 1.0) if self._to_read else None,
            )
        )


class _Prefix:
    """How far one partition is done without a gap."""

    def __init__(self, span: Span) -> None:
        self.next = span.start
        """The offset to commit."""
        self.moved = False
        self._open: deque[list[int]] = deque()  # [offset, 1 if settled]

    def begin(self, offset: int) -> "partial[None]":
        """Take up a record; the answer is to be called once it is done."""
        entry = [offset, 0]
        self._open.append(entry)
        return partial(self._settle, entry)

    def _settle(self, entry: list[int]) -> None:
        entry[1] = 1
        while self._open and self._open[0][1]:
            self.next = self._open.popleft()[0] + 1
            self.moved = True
