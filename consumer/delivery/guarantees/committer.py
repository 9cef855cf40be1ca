"""The one committer: nothing else in the program commits an offset."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

import structlog

from consumer.delivery.guarantees.fenced_assignments import FencedAssignments
from consumer.delivery.offsets import Ledger, OffsetTracker
from consumer.options import CommitPolicy
from consumer.records import Record
from consumer.telemetry import log_events
from consumer.telemetry.observer import Observer
from runtime.clock import Clock, wait_all
from runtime.errors import AccessDenied
from runtime.kafka.errors import Denied, Fenced, KafkaFault, Unreachable
from runtime.kafka.protocol import KafkaConsumer, OffsetAndMetadata, Partition
from runtime.telemetry.waiting import Waiting

_log = structlog.get_logger("consumer")

_ADVICE = "posts go on, and would be done again after a restart; is the group's coordinator up?"


class _Due(NamedTuple):
    """What a commit says of one partition; the tracker is the assignment's own."""

    tracker: OffsetTracker
    at: OffsetAndMetadata
    prefix: int


class Committer:
    """Keeps the ledger of what is finished, and commits its contiguous prefixes."""

    def __init__(
        self,
        ledger: Ledger,
        policy: CommitPolicy,
        *,
        clock: Clock,
        observer: Observer,
        static_id: str | None = None,
    ) -> None:
        """`static_id` is the member's `group_instance_id`, where it has one."""
        self._ledger = ledger
        self._policy = policy
        self._clock = clock
        self._observer = observer
        self._lock = asyncio.Lock()
        self._due = asyncio.Event()
        self._unsettled = 0
        self._fenced = FencedAssignments(static_id, ledger)
        self._failing = Waiting(log_events.COMMIT_FAILED, clock)
        self.committed = 0
        """Records settled by commits since the start."""
        self.last_progress = clock.monotonic()

    def finish(self, records: Iterable[Record]) -> None:
        """These are acknowledged by the broker, each as its event or its dead letter."""
        by_epoch: dict[int, list[int]] = {}
        for record in records:
            offsets = by_epoch.get(record.epoch)
            if offsets is None:
                by_epoch[record.epoch] = [record.offset]
            else:
                offsets.append(record.offset)
        for epoch, offsets in by_epoch.items():
            tracker = self._ledger.tracker(epoch)
            if tracker is None:
                # The partition is lost: its new owner begins at the last commit of this epoch,
                # and a commit from here could pass what it hasn't finished.
                self._observer.late_finish(len(offsets))
                continue
            self._unsettled += tracker.finish(offsets)
        self.last_progress = self._clock.monotonic()
        if self._unsettled >= self._policy.every_records:
            self._due.set()

    async def run(self, consumer: KafkaConsumer) -> None:
        """Commit in the policy's rhythm until cancelled.

        Raises:
            AccessDenied: the group or a topic of it refuses this user.
            Misconfigured: another member has this one's static id.
        """
        while True:
            timer = self._clock.call_later(self._policy.interval_s, self._due.set)
            try:
                await self._due.wait()
            finally:
                timer.cancel()
            self._due.clear()
            await self.commit(consumer)

    async def commit(
        self,
        consumer: KafkaConsumer,
        partitions: frozenset[Partition] | None = None,
        *,
        within_s: float | None = None,
    ) -> bool:
        """Commit what is finished of these partitions (None: of all); give whether it is done.

        Takes at most `within_s` seconds, or the policy's attempts. A commit that fails changes
        nothing here: what it held goes with the next one, unless its partition is lost by then.

        Raises:
            AccessDenied, Misconfigured: see `run`.
        """
        until = None if within_s is None else self._clock.monotonic() + within_s
        why = "its time was up"
        async with self._lock:
            for attempt in range(1, self._policy.attempts + 1):
                # Read again for each attempt: a partition may be lost in between.
                due = self._finished(consumer, partitions)
                if not due:
                    return True
                timeout = self._policy.timeout_s
                if until is not None:
                    timeout = min(timeout, until - self._clock.monotonic())
                    if timeout <= 0:
                        break
                try:
                    await self._attempt(consumer, due, timeout)
                except Fenced:
                    # The group has moved on: whoever owns these now does this work again.
                    _log.info(log_events.COMMIT_FENCED, partitions=len(due))
                    self._observer.commit_failed("fenced")
                    self._fenced.count()
                    return False
                except Denied as error:
                    raise AccessDenied(
                        f"the brokers refuse the commit: {error}; grant the group and its topics "
                        "READ, or correct the credentials"
                    ) from error
                except KafkaFault as error:
                    why = str(error)
                    if not self._failing.going_on:
                        _log.warning(log_events.COMMIT_RETRIED, attempt=attempt, error=why)
                    continue
                self._settled(due)
                if self._failing.over():
                    _log.info(log_events.COMMITS_GO_ON, partitions=len(due))
                return True
        self._failing.still(partitions=len(due), error=why, advice=_ADVICE)
        self._observer.commit_failed("error")
        return False

    def _finished(
        self, consumer: KafkaConsumer, only: frozenset[Partition] | None
    ) -> dict[Partition, _Due]:
        due: dict[Partition, _Due] = {}
        held = self._ledger.held()
        assigned = consumer.assignment() if held else frozenset()
        for partition, tracker in held.items():
            if partition not in assigned or (only is not None and partition not in only):
                continue
            if tracker.metadata is None:
                continue  # it may be read again from its start, and this offset be of another topic
            if tracker.idle and (stands_at := consumer.position(partition)) is not None:
                tracker.skip_to(stands_at)
            offset = tracker.position
            if offset is not None and offset != tracker.committed:
                at = OffsetAndMetadata(offset, tracker.metadata)
                due[partition] = _Due(tracker, at, tracker.prefix)
        return due

    async def _attempt(
        self, consumer: KafkaConsumer, due: dict[Partition, _Due], timeout_s: float
    ) -> None:
        offsets = {partition: part.at for partition, part in due.items()}
        task = asyncio.ensure_future(consumer.commit(offsets))
        try:
            if await wait_all(self._clock, (task,), timeout_s):
                raise Unreachable(f"no answer to a commit within {timeout_s:g} s")
        finally:
            task.cancel()
        task.result()

    def _settled(self, due: dict[Partition, _Due]) -> None:
        self._fenced.forget()
        records = 0
        for tracker, at, prefix in due.values():
            records += prefix - tracker.settled
            tracker.committed, tracker.settled = at.offset, prefix
        self.committed += records
        # Counted again: what was finished of a partition that is lost can't be committed here.
        self._unsettled = sum(one.prefix - one.settled for one in self._ledger.held().values())
        self.last_progress = self._clock.monotonic()
        self._observer.committed(len(due), records)
