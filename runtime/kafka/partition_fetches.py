"""What aiokafka has fetched, taken partition by partition.

aiokafka 0.14 takes from all partitions in one step, the whole of one first, and raises there what
is wrong with any of them: what it has taken from the others is lost, and their positions have
moved. Here each partition is taken by itself, in turn, up to its own room. What stops one partition
is its own; and a position counts only once its records are on their way to the caller.

This reads what aiokafka keeps for itself; the contract tests on a real broker hold it in place.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchError, FetchResult, OffsetResetStrategy
from aiokafka.errors import RecordTooLargeError

from runtime.kafka.protocol import BadBatch, ConsumedRecord, Partition
from runtime.kafka.record_batches import BadBatchError

_EARLIEST = OffsetResetStrategy.EARLIEST


class PartitionFetches:
    """The fetched records of one consumer."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer: Any = consumer
        self._turn = 0
        self._delivered: dict[Partition, int] = {}
        self.bad_batches: dict[Partition, BadBatch] = {}
        """Partitions that stopped at a batch which can't be read."""
        self._taken_away: dict[Partition, int] = {}

    async def take(
        self, *, timeout_s: float, max_records: int, room: Callable[[Partition], int] | None
    ) -> dict[Partition, Sequence[ConsumedRecord]]:
        """Wait up to `timeout_s` for records; see `KafkaConsumer.getmany`.

        Raises:
            aiokafka.errors.KafkaError: of the group, or what a broker says of a whole topic.
        """
        fetcher, subscription = self._consumer._fetcher, self._consumer._subscription  # noqa: SLF001
        self._consumer._coordinator.check_errors()  # noqa: SLF001
        deadline = time.monotonic() + timeout_s
        stopped: set[Partition] = set()
        with subscription.fetch_context():  # keeps the group from missing us
            while True:
                if subscription.reassignment_in_progress:
                    await subscription.wait_for_assignment()
                drained = self._drain(max_records, room, stopped)
                left = deadline - time.monotonic()
                if drained or left <= 0 or fetcher._closed:  # noqa: SLF001
                    return drained
                waiter = fetcher._create_fetch_waiter()  # noqa: SLF001
                try:
                    await asyncio.wait((waiter,), timeout=left)
                finally:
                    if waiter.done() and not waiter.cancelled():
                        waiter.exception()  # seen; raised below
                    else:
                        waiter.cancel()
                if waiter.done() and not waiter.cancelled():
                    waiter.result()  # what the coordinator could not do

    def assigned(self) -> None:
        """A new assignment begins: what was known of the old one is of no use."""
        self._delivered.clear()
        self.bad_batches.clear()

    def taken_away(self) -> Mapping[Partition, int]:
        """See `KafkaConsumer.taken_away`."""
        lost, self._taken_away = self._taken_away, {}
        return lost

    def position(self, partition: Partition) -> int | None:
        """Offset after everything that `take` has returned; see `KafkaConsumer.position`."""
        delivered = self._delivered.get(partition)
        if delivered is not None:
            return delivered
        state = self.state(partition)
        if state is None or not state.has_valid_position:
            return None
        held = self._consumer._fetcher._records.get(TopicPartition(*partition))  # noqa: SLF001
        position: int = state.position
        return position - 1 if _has_gone_on(held) else position

    def state(self, partition: Partition) -> Any:
        """What aiokafka keeps of a partition; None unless it is assigned."""
        subscription = self._consumer._subscription.subscription  # noqa: SLF001 - no public way
        if subscription is None or subscription.assignment is None:
            return None
        return subscription.assignment.state_value(partition)

    def seek(self, partition: Partition, offset: int) -> None:
        """Read this one from an offset on."""
        self._delivered.pop(partition, None)
        self.bad_batches.pop(partition, None)
        self._consumer.seek(TopicPartition(*partition), offset)

    def seek_to_beginning(self, partitions: Iterable[Partition]) -> None:
        """Read these from the start of their logs."""
        places = [TopicPartition(*partition) for partition in partitions]
        for place in places:
            self._delivered.pop(Partition(*place), None)
            self.bad_batches.pop(Partition(*place), None)
        # The future that it gives is for those who want to know when the start is found. asyncio
        # logs a cancelled one, as an error, when nobody has looked at it.
        found = self._consumer._fetcher.request_offset_reset(places, _EARLIEST)  # noqa: SLF001
        found.add_done_callback(_look_at)
        found.cancel()

    def _drain(
        self,
        max_records: int,
        room: Callable[[Partition], int] | None,
        stopped: set[Partition],
    ) -> dict[Partition, Sequence[ConsumedRecord]]:
        """Take what there is; add to `stopped`, and leave alone, what stopped in this call.

        Who hears of it says when it is tried again: what is fetched before that would be old.
        """
        # No await in here: a cancelled caller either has all of it, or nothing has moved.
        fetcher = self._consumer._fetcher  # noqa: SLF001
        held: dict[Any, Any] = fetcher._records  # noqa: SLF001
        order = list(held)
        self._turn += 1
        start = self._turn % len(order) if order else 0
        drained: dict[Partition, Sequence[ConsumedRecord]] = {}
        for place in (*order[start:], *order[:start]):
            partition = Partition(*place)
            state = self.state(partition)
            if state is None:
                del held[place]
                continue
            most = max_records if room is None else min(max_records, room(partition))
            if most <= 0 or partition in stopped:
                continue
            result = held[place]
            if type(result) is not FetchResult:
                if drained:
                    continue  # it is told by the next call
                self._next_fetch(place)
                self._raise(partition, state, result)
                continue
            records = self._take_one(place, partition, state, most)
            if records:
                drained[partition] = records
                max_records -= len(records)
            elif partition in self.bad_batches:
                stopped.add(partition)
        return drained

    def _take_one(
        self, place: Any, partition: Partition, state: Any, most: int
    ) -> Sequence[ConsumedRecord]:
        result = self._consumer._fetcher._records[place]  # noqa: SLF001
        self._look_for_gap(partition, result)
        try:
            records: Sequence[ConsumedRecord] = result.getall(most)
        except BadBatchError as error:
            # Nothing was taken: what can't be read comes first in its fetch. It is fetched again
            # when this partition is next asked for.
            after = error.next_offset
            if after is not None and after <= state.position:
                after = None
            self.bad_batches[partition] = BadBatch(state.position, error.reason, after)
            return ()
        if not result.has_more():
            self._next_fetch(place)
        if state.has_valid_position:
            self._delivered[partition] = state.position
        if records:
            self.bad_batches.pop(partition, None)
        return records

    def _look_for_gap(self, partition: Partition, result: Any) -> None:
        """A fetch that begins after what was delivered: the log's start has passed it."""
        expected, fetched = self._delivered.get(partition), result._partition_records  # noqa: SLF001
        if expected is None or fetched is None:
            return
        if (lost := fetched.next_fetch_offset - expected) > 0:
            self._taken_away[partition] = self._taken_away.get(partition, 0) + lost
            self._delivered[partition] = fetched.next_fetch_offset

    def _next_fetch(self, place: Any) -> None:
        fetcher = self._consumer._fetcher  # noqa: SLF001
        del fetcher._records[place]  # noqa: SLF001
        fetcher._notify(fetcher._wait_consume_future)  # noqa: SLF001

    def _raise(self, partition: Partition, state: Any, result: Any) -> None:
        try:
            result.check_raise()
        except RecordTooLargeError:
            at = self._delivered.setdefault(partition, state.position - 1)
            self.bad_batches[partition] = BadBatch(at, "less than the whole batch came")
            self._consumer.seek(TopicPartition(*partition), at)  # it is tried again from there


def _has_gone_on(held: object) -> bool:
    """Whether less than a whole batch came: aiokafka has gone one offset on, which isn't ours."""
    return isinstance(held, FetchError) and isinstance(held._error, RecordTooLargeError)  # noqa: SLF001


def _look_at(found: "asyncio.Future[Any]") -> None:
    if not found.cancelled():
        found.exception()
