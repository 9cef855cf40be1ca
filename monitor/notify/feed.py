"""`affect.alerts` to the notifier, as a consumer group of its own: each transition is told once."""

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec
import structlog

from monitor.notify import log_events
from monitor.notify.notifier import Notifier
from runtime.kafka.errors import Fenced, KafkaFault
from runtime.kafka.protocol import ConsumedRecord, KafkaConsumer, OffsetAndMetadata, Partition
from schemas.alert import Alert

_log = structlog.get_logger("monitor")

_POLL_S = 1.0
_MAX_WAITING = 500
"""Transitions under way before no more are read: half of what one target's queue holds."""


class _Kind(msgspec.Struct):
    """What tells an alert from what people say of one: both are on the topic."""

    transition: str | None = None


class AlertFeed:
    """Reads alerts, offers each to the notifier, commits what is done.

    An offset is committed once all before it were delivered or given up: after a crash the rest is
    offered again, with the same ids. A group without an offset begins at the topic's end: nobody is
    told of last week's alerts (make the consumer with `auto_offset_reset="latest"`).
    """

    def __init__(self, consumer: KafkaConsumer, notifier: Notifier) -> None:
        self._consumer = consumer
        self._notifier = notifier
        self._pending: dict[Partition, deque[tuple[int, asyncio.Future[None]]]] = {}
        self._committed: dict[Partition, int] = {}
        self._stopping = asyncio.Event()
        self.assigned = asyncio.Event()
        """Set once the group has given us partitions and reading has begun there."""

    async def run(self) -> None:
        """Read until `stop`; the consumer is started and stopped in here.

        Raises:
            KafkaFault: no broker answers, or it denies access.
        """
        await self._consumer.start()
        try:
            self._consumer.subscribe(self)
            while not self._stopping.is_set():
                records = await self._consumer.getmany(timeout_s=_POLL_S, max_records=100)
                for partition, found in records.items():
                    self._offer(partition, found)
                if self._began():
                    self.assigned.set()
                await self._commit()
                if sum(len(queue) for queue in self._pending.values()) >= _MAX_WAITING:
                    await self._room()
            await self._commit()
        finally:
            await self._consumer.stop()

    def stop(self) -> None:
        """Read no more; `run` returns after its last commit."""
        self._stopping.set()

    async def on_revoked(self, partitions: frozenset[Partition]) -> None:
        """Commit what is done; the rest is its new owner's."""
        await self._commit()
        for partition in partitions:
            self._pending.pop(partition, None)
            self._committed.pop(partition, None)

    async def on_assigned(self, partitions: frozenset[Partition]) -> None:
        """Begin where the group was."""
        self._pending = {partition: deque() for partition in partitions}

    def _offer(self, partition: Partition, records: Sequence[ConsumedRecord]) -> None:
        queue = self._pending.get(partition)
        if queue is None:
            return
        for record in records:
            if (alert := _alert(record)) is not None:
                queue.append((record.offset, self._notifier.offer(alert)))

    async def _commit(self) -> None:
        offsets: dict[Partition, int] = {}
        for partition, queue in self._pending.items():
            while queue and queue[0][1].done():
                queue.popleft()
            position = queue[0][0] if queue else self._consumer.position(partition)
            if position is not None and position != self._committed.get(partition):
                offsets[partition] = position
        if not offsets:
            return
        try:
            await self._consumer.commit({p: OffsetAndMetadata(at) for p, at in offsets.items()})
        except Fenced:
            return
        except KafkaFault as fault:  # the next round commits it
            _log.warning(log_events.COMMIT_FAILED, error=str(fault))
            return
        self._committed.update(offsets)

    def _began(self) -> bool:
        """Whether each partition has a position: what is written from now on is read."""
        return bool(self._pending) and all(
            self._consumer.position(partition) is not None for partition in self._pending
        )

    async def _room(self) -> None:
        """Wait until the oldest of each partition is done, or for one poll's time."""
        waiting = [queue[0][1] for queue in self._pending.values() if queue]
        await asyncio.wait(waiting, timeout=_POLL_S, return_when=asyncio.FIRST_COMPLETED)


def _alert(record: ConsumedRecord) -> Alert | None:
    if record.value is None:
        return None  # a tombstone
    try:
        if msgspec.json.decode(record.value, type=_Kind).transition is None:
            return None  # what a person says of an alert
        return msgspec.json.decode(record.value, type=Alert)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        _log.warning(log_events.ALERT_UNREADABLE, offset=record.offset)
        return None
