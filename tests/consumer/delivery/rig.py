"""A service on a Kafka in memory, with an analysis and a clock that the test commands."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from consumer.dead_letters import Reason, Stage, make_dead_letter
from consumer.delivery.service import Service
from consumer.options import BatchLimits, CommitPolicy, ServiceLimits, Until
from consumer.processor import Done
from consumer.records import Emit, Outcome, Record, Skip
from consumer.telemetry.observer import BatchClosed, CommitFailure, NullObserver, PauseReason
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import Partition
from tests.runtime.fake_clock import FakeClock, settle
from tests.runtime.kafka.fake_kafka import FakeKafka

GROUP = "emostream"
POSTS = Partition("posts", 0)


def options(**changed: Any) -> KafkaOptions:
    plain = KafkaOptions(bootstrap="fake:9092", group_id=GROUP, input_topics=("posts",))
    return msgspec.structs.replace(plain, **changed)


def limits(**changed: Any) -> ServiceLimits:
    plain = ServiceLimits(
        batch=BatchLimits(max_posts=4, max_wait_s=0.01),
        commit=CommitPolicy(interval_s=1.0, timeout_s=5.0),
    )
    return msgspec.structs.replace(plain, **changed)


class FakeProcessor:
    """Emits each value again; `poison` makes a dead letter, `bug` raises, `held` waits."""

    def __init__(self) -> None:
        self._available = asyncio.Event()
        self._available.set()
        self.open = asyncio.Event()
        self.open.set()
        self.held: set[bytes] = set()
        """With one of these a whole batch waits for `open`."""
        self.slow: set[bytes] = set()
        """What begins so waits for `open` alone, and holds no other record of its batch."""
        self.raises: BaseException | None = None
        self.calls: list[list[bytes]] = []
        self.seen: Counter[bytes] = Counter()
        self.cancelled = 0
        self.make: Callable[[Record], bytes] = lambda record: record.value or b""

    @property
    def model(self) -> str | None:
        return "emostream-small"

    @property
    def available(self) -> bool:
        return self._available.is_set()

    @available.setter
    def available(self, now: bool) -> None:
        if now:
            self._available.set()
        else:
            self._available.clear()

    async def wait_available(self) -> None:
        await self._available.wait()

    async def process(self, records: Sequence[Record], done: Done, *, turn: int = 0) -> None:
        values = [record.value or b"" for record in records]
        self.calls.append(values)
        self.seen.update(values)
        try:
            if self.held & set(values):
                await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.raises is not None:
            raise self.raises
        if any(value.startswith(b"bug") for value in values):
            raise KeyError("a post's text that nobody may see")
        late: list[Record] = []
        for record in records:
            if self.slow and (record.value or b"").startswith(tuple(self.slow)):
                late.append(record)
            else:
                done(record, self._outcome(record))
        if late:
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            for record in late:
                done(record, self._outcome(record))

    def _outcome(self, record: Record) -> Outcome:
        if (record.value or b"").startswith(b"poison"):
            return make_dead_letter(record, Stage.DECODE, Reason.NOT_JSON, "not JSON")
        if (record.value or b"").startswith(b"blank"):
            return make_dead_letter(record, Stage.DECODE, Reason.EMPTY_TEXT, "nothing visible")
        if (record.value or b"").startswith(b"skip"):
            return Skip("where")
        return Emit(key=record.key, value=self.make(record), headers=())

    def hold(self, *values: bytes) -> None:
        self.held = set(values)
        self.open.clear()

    def slow_down(self, *prefixes: bytes) -> None:
        self.slow = set(prefixes)
        self.open.clear()

    def release(self) -> None:
        self.open.set()


class Seen(NullObserver):
    """Remembers what was observed."""

    def __init__(self) -> None:
        self.closed: list[tuple[BatchClosed, int]] = []
        self.commit_failures: list[CommitFailure] = []
        self.pauses: list[str] = []
        self.resumes = 0
        self.late = 0
        self.dead_letters: list[tuple[str, str]] = []
        self.restarts = 0
        self.fuses = 0
        self.bad_batches = 0
        self.lost = 0
        self.created_again = 0
        self.published = 0
        self.abandoned = 0
        self.assigned: list[int] = []
        self.skipped_by_rule: Counter[str] = Counter()

    def batch_closed(self, reason: BatchClosed, records: int, nbytes: int) -> None:
        self.closed.append((reason, records))

    def commit_failed(self, kind: CommitFailure) -> None:
        self.commit_failures.append(kind)

    def paused(self, reason: PauseReason) -> None:
        self.pauses.append(reason)

    def resumed(self) -> None:
        self.resumes += 1

    def late_finish(self, records: int) -> None:
        self.late += records

    def skipped(self, rule: str, records: int) -> None:
        self.skipped_by_rule[rule] += records

    def dead_letter(self, stage: str, class_name: str) -> None:
        self.dead_letters.append((stage, class_name))

    def consumer_restarted(self) -> None:
        self.restarts += 1

    def bad_batch(self) -> None:
        self.bad_batches += 1

    def taken_away(self, records: int) -> None:
        self.lost += records

    def topic_created_again(self) -> None:
        self.created_again += 1

    def fuse_blown(self) -> None:
        self.fuses += 1

    def events_published(self, records: Sequence[Record], now: float) -> None:
        self.published += len(records)

    def revoked(self, partitions: int, abandoned: int, seconds: float) -> None:
        self.abandoned += abandoned

    def rebalanced(self, assigned: int) -> None:
        self.assigned.append(assigned)


class Rig:
    """One service; `run` it, turn the clock, look."""

    def __init__(
        self,
        kafka: FakeKafka | None = None,
        *,
        kafka_options: KafkaOptions | None = None,
        service_limits: ServiceLimits | None = None,
        clock: FakeClock | None = None,
        partitions: int = 1,
    ) -> None:
        self.clock = clock or FakeClock()
        topics = {"posts": partitions, "affect.events": 2, "affect.dlq": 1}
        self.kafka = kafka or FakeKafka(topics, self.clock)
        self.processor = FakeProcessor()
        self.seen = Seen()
        kafka_options = kafka_options or options()
        self.service = Service(
            kafka_options,
            self.processor,
            limits=service_limits or limits(),
            observer=self.seen,
            clock=self.clock,
            brokers=self.kafka.brokers(kafka_options),
        )
        self.task: asyncio.Task[int] | None = None

    def start(self, *, until: Until | None = None, signals: bool = False) -> None:
        self.task = asyncio.ensure_future(self.service.run(until=until, signals=signals))

    async def turn(self, seconds: float = 0.1) -> None:
        await self.clock.advance(seconds)

    async def end(self, within_s: float = 300.0) -> int:
        """Turn the clock until the service has ended; give its exit status."""
        assert self.task is not None
        give_up = self.clock.now + within_s
        while not self.task.done() and self.clock.now < give_up:
            await self.turn(0.5)
        assert self.task.done(), "the service didn't end"
        return self.task.result()

    async def stop(self) -> int:
        self.service.stop()
        return await self.end()

    @property
    def committed(self) -> int | None:
        return self.kafka.groups[GROUP].committed.get(POSTS)

    def events(self) -> list[bytes | None]:
        return sorted(self.kafka.values("affect.events"), key=lambda value: value or b"")


@asynccontextmanager
async def running(
    rig: Rig, *, until: Until | None = None, signals: bool = False
) -> AsyncIterator[Rig]:
    """A rig under way; whatever the test leaves running is abandoned at its end."""
    rig.start(until=until, signals=signals)
    await settle()
    await rig.turn()
    try:
        yield rig
    finally:
        rig.service.abandon()
        rig.processor.release()
        await rig.end()


def numbered(count: int, prefix: str = "post") -> list[bytes | None]:
    return [f"{prefix}-{index:04d}".encode() for index in range(count)]
