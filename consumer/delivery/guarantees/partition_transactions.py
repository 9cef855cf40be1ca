"""One input partition's transactions: events, dead letters and the offset, one after the other.

The partition's transactional id is what fences: the group can't, for aiokafka sends neither member
nor generation with the offsets of a transaction. So whoever is given the partition starts its
producer first, which ends every older one's transaction; only then is the committed offset what it
stays, and only from there does reading begin.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile

import msgspec
import structlog

from consumer.delivery.guarantees.handed_over import HandedOver, Pending, PendingOutcomes
from consumer.delivery.guarantees.sending import OutcomeSender
from consumer.delivery.guarantees.transaction import Failed, Work, after, transact, without_refused
from consumer.delivery.guarantees.transactional_start import start_transactions
from consumer.delivery.offsets import Ledger, OffsetTracker
from consumer.errors import PublishTimedOut
from consumer.options import PublishLimits
from consumer.records import Outcome, Record
from consumer.telemetry import log_events
from consumer.telemetry.observer import Observer
from runtime.clock import Clock, sleep, wait_all
from runtime.errors import ServiceError
from runtime.kafka.errors import Fenced, KafkaFault, TopicMissing, Unreachable
from runtime.kafka.offset_metadata import BEGINS_HERE
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import (
    Brokers,
    KafkaConsumer,
    OffsetAndMetadata,
    Partition,
    TransactionalProducer,
)
from runtime.kafka.unread import abandon

_log = structlog.get_logger("consumer")

_MOST = 500
"""Records of one transaction: handing them over holds the event loop for 5 ms. More of them make
each one no cheaper: a transaction's own cost is 1 ms."""
_ATTEMPT_S = 20.0
"""Of one transaction: longer than a broker's restart (12 s after kill -9), shorter than aiokafka
waits on a dead connection (40 s). The next attempt goes over new connections."""
_COMMITTED_S = 3.0
_BACK_OFF_S = 0.5
"""Before a transaction is tried again, and between two tries to begin."""
_AGAIN_S = 2.0
"""Before a partition begins again whose topic is gone: a rebalance takes it away soon."""
_LAST_S = 1.0
"""For an abort, and for cancelled work to end: what isn't aborted by then the next owner aborts."""


class _Lost(Exception):  # noqa: N818 - what happened to the partition
    """Somebody else has moved the offset."""


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What the transactions of all partitions share."""

    brokers: Brokers
    options: KafkaOptions
    limits: PublishLimits
    sender: OutcomeSender
    ledger: Ledger
    clock: Clock
    observer: Observer
    verify: Callable[[], Awaitable[None]]
    """Returns when it is known of which topics the committed offsets are."""
    same_topic: Callable[[str], Awaitable[bool]]
    """Whether what was read of a topic until now is of the topic that is there."""
    drop_queued: Callable[[int], None]
    """Forget what waits of an epoch and wasn't analysed."""
    on_committed: Callable[[int], None]
    """So many records were settled."""
    on_fenced: Callable[[], None]
    retire: Callable[[TransactionalProducer], None]
    """Stop a producer, with nobody waiting for it."""


class PartitionTransactions:
    """From a partition's assignment to its loss. `run` is cancelled at the end."""

    def __init__(self, partition: Partition, consumer: KafkaConsumer, shared: Shared) -> None:
        self._partition = partition
        self._consumer = consumer
        self._shared = shared
        self._clock = shared.clock
        self._name = f"{partition.topic}-{partition.partition}"
        self._pending = PendingOutcomes()
        self._epoch = 0
        self._gap: int | None = None
        """The first offset that gets no outcome in this epoch."""
        self._base: OffsetAndMetadata | None = None
        """What the group has committed; None where nothing is."""
        self._base_known = False
        """Whether that is so; not of a log that began again."""
        self._resume_at: int | None = None
        """Where reading begins again when nothing is committed."""
        self._producer: TransactionalProducer | None = None
        self._work: Work | None = None
        """What is under way."""
        self._in_transaction = False
        self._wake = asyncio.Event()
        self._markers = False
        self._settling = False
        self.quiet = asyncio.Event()
        """Set while there is nothing to commit."""
        self.quiet.set()

    # What others call.

    def add(self, records: Sequence[Record], outcomes: Sequence[Outcome]) -> HandedOver | None:
        """These are known; None where their epoch is lost: they come again."""
        self._look_at_epoch()
        if records[0].epoch != self._epoch:
            return None
        handed_over = self._pending.add(records, outcomes)
        if self._gap is not None:
            self._pending.drop(behind=self._gap, but=self._under_way())
        self.wake()
        return handed_over

    def withdraw(self, handed_over: HandedOver) -> None:
        """Nobody waits for these any more."""
        self._pending.withdraw(handed_over, but=self._under_way())

    def give_up(self, record: Record) -> None:
        """This one gets no outcome: nothing behind it can be settled."""
        if record.epoch == self._epoch:
            self._gap = record.offset if self._gap is None else min(self._gap, record.offset)
            self._pending.drop(behind=record.offset, but=self._under_way())

    def wake(self, *, markers: bool = False) -> None:
        """Look for what is finished; with `markers` also for offsets that hold no record."""
        self._markers = self._markers or markers
        if self._settling:
            self.quiet.clear()
        self._wake.set()

    async def run(self) -> None:
        """Begin, and settle what is handed over, until cancelled.

        Raises:
            ServiceError: nothing can be settled until a human acts.
        """
        try:
            while True:
                try:
                    await self._begin()
                    await self._settle_all()
                except Fenced as fault:
                    _log.warning(
                        log_events.TRANSACTION_FENCED, partition=self._name, reason=str(fault)
                    )
                    self._shared.observer.transaction_fenced()
                    self._lose()
                    self._shared.on_fenced()
                    # Who took it is its owner, and this member is about to hear of that. Else it
                    # was one that is dead by now, or the brokers' own timeout: then it is ours.
                    await sleep(self._clock, self._shared.options.session_timeout_s)
                except (_Lost, TopicMissing) as error:
                    _log.warning(
                        log_events.PARTITION_BEGINS_AGAIN, partition=self._name, reason=str(error)
                    )
                    self._lose()
                    await sleep(self._clock, _AGAIN_S)
        finally:
            self._pending.drop()
            self.quiet.set()

    async def close(self, *, timeout_s: float = _LAST_S) -> None:
        """After `run` was cancelled: undo what is open, so that no reader waits for it."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if self._in_transaction:
            # One that is being committed isn't undone: the client refuses to, at once.
            aborting = asyncio.ensure_future(producer.abort())
            await wait_all(self._clock, (aborting,), timeout_s)
            if aborting.done() and not aborting.cancelled() and aborting.exception() is None:
                self._shared.observer.transaction_aborted()
            else:
                aborting.cancel()
                abandon((aborting,))
        self._shared.retire(producer)

    # Its life.

    async def _begin(self) -> None:
        """Fence, look where the group is, and read from there."""
        while True:
            try:
                await self._new_producer()
                at = await self._committed()
                break
            except KafkaFault as fault:
                _log.warning(
                    log_events.PARTITION_NOT_BEGUN, partition=self._name, reason=str(fault)
                )
            await sleep(self._clock, _BACK_OFF_S)
        # No await from here on: what is delivered from now on is read from there.
        if self._partition not in self._consumer.assignment():
            await asyncio.get_running_loop().create_future()  # it is about to be cancelled
        if at is not None:
            self._consumer.seek(self._partition, at.offset)
        elif self._resume_at is not None:
            # Read before, and never committed.
            if self._shared.options.auto_offset_reset == "earliest":
                self._consumer.seek_to_beginning((self._partition,))
            else:
                self._consumer.seek(self._partition, self._resume_at)
        self._shared.ledger.assign((self._partition,))
        self._look_at_epoch()
        tracker = self._tracker()
        assert tracker is not None
        tracker.committed = None if at is None else at.offset
        self._base, self._base_known = at, True
        await self._shared.verify()
        self.wake()

    async def _settle_all(self) -> None:
        self._settling = True
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while (work := self._next()) is not None:
                    self._work = work
                    try:
                        await self._settle(work)
                    finally:
                        self._work = None
                if not self._wake.is_set():
                    self.quiet.set()
        finally:
            self._settling = False
            self.quiet.set()

    def _lose(self) -> None:
        ledger, epoch = self._shared.ledger, self._shared.ledger.epoch(self._partition)
        if epoch is not None:
            tracker = ledger.tracker(epoch)
            if tracker is not None and tracker.position is not None:
                self._resume_at = tracker.position
            self._shared.drop_queued(epoch)
            ledger.lose((self._partition,))
        self._look_at_epoch()
        self.quiet.set()

    def _look_at_epoch(self) -> None:
        """Another epoch began, or none: what is known of the old one comes again, if at all."""
        epoch = self._shared.ledger.epoch(self._partition) or 0
        if epoch != self._epoch:
            self._pending.drop()
            self._epoch = epoch
            self._base = self._gap = None
            self._base_known = False

    def _tracker(self) -> OffsetTracker | None:
        return self._shared.ledger.tracker(self._epoch)

    def _under_way(self) -> tuple[Pending, ...]:
        return () if self._work is None else self._work.items

    # One transaction.

    def _next(self) -> Work | None:
        """The finished prefix: what a transaction can hold now."""
        self._look_at_epoch()
        tracker = self._tracker()
        if tracker is None or tracker.metadata is None:
            return None
        found = (self._pending.get(offset) for offset in tracker.unfinished())
        items: list[Pending] = []
        for item in takewhile(lambda one: one is not None, found):
            assert item is not None
            items.append(item)
            if len(items) == _MOST:
                break
        if items:
            return Work(self._epoch, tuple(items), after(items, tracker.metadata))
        markers, self._markers = self._markers, False
        if not markers or not tracker.idle:
            return None
        if (stands_at := self._consumer.position(self._partition)) is not None:
            tracker.skip_to(stands_at)
        if tracker.position is None or tracker.position == tracker.committed:
            return None
        return Work(self._epoch, (), OffsetAndMetadata(tracker.position, tracker.metadata))

    async def _settle(self, work: Work) -> None:
        """Commit it, however often that has to be tried.

        Raises:
            Fenced: the partition has another owner.
            TopicMissing: its topic is gone.
            _Lost: its offset was moved by somebody else.
            ServiceError: it can't be committed until a human acts, or not in time.
        """
        shared = self._shared
        deadline = self._clock.monotonic() + shared.limits.timeout_s
        end: ServiceError | None = None
        while True:
            began = self._clock.monotonic()
            failed = await self._attempt(work, deadline - began)
            if failed is None:
                break
            if isinstance(failed.fault, Fenced):
                raise failed.fault
            shared.observer.transaction_aborted()
            _log.warning(
                log_events.TRANSACTION_ABORTED,
                partition=self._name,
                records=len(work.items),
                reason=str(failed.fault),
            )
            if isinstance(failed.fault, TopicMissing) and not failed.refused:
                raise failed.fault
            if failed.refused:
                work, stop = without_refused(work, failed, shared.sender)
                end = stop or end
                self._work = work
                if end is not None and not work.items:
                    raise end
            if await self._was_committed(work, failed, deadline):
                break
            if shared.ledger.tracker(work.epoch) is None:
                return  # the log began again: what was read of it comes again
        self._settled(work, self._clock.monotonic() - began)
        if end is not None:
            raise end

    async def _attempt(self, work: Work, within_s: float) -> Failed | None:
        """Try it once, for so long; None: it is committed."""
        assert self._producer is not None
        shared, within_s = self._shared, min(within_s, _ATTEMPT_S)
        self._in_transaction = True
        trying = asyncio.ensure_future(
            transact(
                self._producer,
                work,
                partition=self._partition,
                group_id=shared.options.group_id,
                sender=shared.sender,
                confirm=lambda: self._confirm(work),
                clock=self._clock,
                within_s=within_s,
            )
        )
        try:
            late = await wait_all(self._clock, (trying,), within_s)
        finally:
            if not trying.done():
                trying.cancel()
                await wait_all(self._clock, (trying,), _LAST_S)
        if late:
            abandon((trying,))
            return Failed(Unreachable("no answer in time"))
        failed = trying.result()
        self._in_transaction = failed is not None
        return failed

    async def _confirm(self, work: Work) -> None:
        """See that all of it was read of the topic that is there.

        Raises:
            KafkaFault: it wasn't, or that can't be told.
        """
        there = await self._shared.same_topic(self._partition.topic)
        if self._shared.ledger.tracker(work.epoch) is None:
            raise Unreachable("the partition's log began again")
        if not there:
            raise TopicMissing(f"the topic {self._partition.topic} is gone")

    async def _was_committed(self, work: Work, failed: Failed, deadline: float) -> bool:
        """Begin over with a new producer, which ends what is open; look what came of it.

        Raises:
            _Lost: the offset was moved by another one.
            PublishTimedOut: this didn't come about in time.
        """
        last: KafkaFault = failed.fault
        while True:
            left = deadline - self._clock.monotonic()
            if left <= 0:
                options = self._shared.options
                raise PublishTimedOut(
                    f"{len(work.items)} posts of {self._name} weren't settled within "
                    f"{self._shared.limits.timeout_s:g} s; they stay uncommitted and come again. "
                    "Look at the brokers, min.insync.replicas, and the topics "
                    f"{options.output_topic} and {options.dlq_topic}; the last failure: {last}"
                )
            await sleep(self._clock, min(_BACK_OFF_S, left))
            try:
                await self._new_producer()
                at = await self._committed()
            except KafkaFault as fault:
                last = fault
                continue
            self._look_at_epoch()
            if at == work.at:
                return True
            begun = at is not None and at.metadata == BEGINS_HERE
            if self._base_known and at != self._base and not begun:
                raise _Lost("its committed offset was moved")
            return False

    def _settled(self, work: Work, seconds: float) -> None:
        shared = self._shared
        shared.observer.transaction_committed(len(work.items), seconds)
        tracker = shared.ledger.tracker(work.epoch)
        if tracker is None:
            shared.observer.late_finish(len(work.items))
            return
        tracker.finish([item.record.offset for item in work.items])
        tracker.committed, tracker.settled = work.at.offset, tracker.prefix
        self._base, self._base_known = work.at, True
        shared.on_committed(len(work.items))
        self._pending.settle(work.items)

    # Kafka.

    async def _new_producer(self) -> None:
        """Start another producer: no older one can write from then on.

        Raises:
            KafkaFault: it can't be started, this time.
            AccessDenied, Misconfigured: until a human acts.
        """
        shared = self._shared
        if self._producer is not None:
            shared.retire(self._producer)
        self._producer, self._in_transaction = None, False
        producer = shared.brokers.transactional_producer(
            shared.options.transactional_id(*self._partition)
        )
        await start_transactions(producer, shared.options, self._clock, retire=shared.retire)
        self._producer = producer

    async def _committed(self) -> OffsetAndMetadata | None:
        found = await self._consumer.committed((self._partition,), timeout_s=_COMMITTED_S)
        return found.get(self._partition)
