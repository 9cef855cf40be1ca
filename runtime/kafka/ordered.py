"""All partitions of a topic as one stream in the order of time, in bounded memory.

A consumer hands out one partition's records before another's: a reader that is days behind would
see one partition's Monday after another's Thursday, and has to hold all that lies between. Here
the next record always comes from the partition that is furthest behind in time.
"""

import asyncio
import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from runtime.kafka.faults import read_fault

_T = TypeVar("_T")
_ROUND = 2_000
"""Records of a round, and so of one partition that wait for another's: a few MB."""
_QUIET_S = 1.0
"""What brought nothing for so long is asked for its end before others pass it. What brings records
all the time names its end with each of them."""
_ASK_S = 1.0
"""For an answer to that; it is asked again with the next look."""


class OrderedReader(Generic[_T]):
    """Merges partitions by a time that `decode` gives; within one, the order stays the log's.

    A partition without records holds the others up while there is more of it to read: how far
    they got beside it couldn't be told. It is at its end when its position is, transaction markers
    included; never because nothing came for a while. Where that is was told with its last fetch:
    once others bring something, a quiet one is asked again, for it may have got records, too.
    """

    def __init__(
        self,
        consumer: Any,
        starts: Mapping[TopicPartition, int],
        decode: Callable[[Any], tuple[float, _T]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`consumer` is an AIOKafkaConsumer with exactly these partitions assigned.

        `decode` takes a record as aiokafka gives it; it must not raise.
        """
        self._consumer = consumer
        self._decode = decode
        self._monotonic = monotonic
        self._brought_at: dict[TopicPartition, float] = {}
        """When a partition last brought something."""
        self._ends: dict[TopicPartition, int] = {}
        """What partitions named as their end when they were asked."""
        self._unsure: set[TopicPartition] = set()
        """Those that didn't answer that yet."""
        self._waiting: dict[TopicPartition, deque[tuple[float, _T, int]]] = {}
        self.positions: dict[TopicPartition, int] = dict(starts)
        """Offset after the last record handed out, and after markers that follow it."""
        for partition, start in starts.items():
            consumer.seek(partition, start)
            self._waiting[partition] = deque()

    async def take(self, *, timeout_s: float) -> list[_T]:
        """Wait up to `timeout_s` seconds for records; give those whose turn it is.

        Raises:
            KafkaFault: the brokers gave an error instead.
        """
        empty = [partition for partition, queue in self._waiting.items() if not queue]
        if empty:
            # Without delay, where what waits already needn't wait for these.
            wait_s = timeout_s if self._held_up() or len(empty) == len(self._waiting) else 0.0
            try:
                batches = await self._consumer.getmany(
                    *empty, timeout_ms=round(1000 * wait_s), max_records=_ROUND
                )
            except KafkaError as error:
                raise read_fault(error) from error
            now = self._monotonic()
            for partition, records in batches.items():
                self._brought_at[partition] = now
                self._unsure.discard(partition)
                queue = self._waiting[partition]
                for record in records:
                    at, item = self._decode(record)
                    queue.append((at, item, record.offset))
            if batches or self._unsure:
                await self._ask_quiet(now)
        return self._ready()

    def at_end(self, partition: TopicPartition) -> bool:
        """Whether all that this partition held at the last fetch was handed out."""
        return not self._waiting[partition] and self._fetched_all(partition)

    def end(self, partition: TopicPartition) -> int | None:
        """Where the partition's readable log ended when it was last told; None before that."""
        end = self._consumer.last_stable_offset(partition)
        ends = [one for one in (end, self._ends.get(partition)) if one is not None and one >= 0]
        return max(ends, default=None)

    async def _ask_quiet(self, now: float) -> None:
        """Ask the partitions that seem to be at their end, and were for a while, where it is."""
        self._unsure.update(
            partition
            for partition, queue in self._waiting.items()
            if not queue
            and self._fetched_all(partition)
            and now - self._brought_at.get(partition, -math.inf) >= _QUIET_S
        )
        if not self._unsure:
            return
        try:
            async with asyncio.timeout(_ASK_S):
                ends = await self._consumer.end_offsets(list(self._unsure))
        except (TimeoutError, KafkaTimeoutError):
            return
        except KafkaError as error:
            if error.retriable:
                return
            raise read_fault(error) from error
        self._ends.update(ends)
        self._unsure.clear()

    def _fetched_all(self, partition: TopicPartition) -> bool:
        if partition in self._unsure:
            return False
        end, at = self.end(partition), self._position(partition)
        return end is not None and at is not None and at >= end

    def _position(self, partition: TopicPartition) -> int | None:
        # The public `position` waits, for as long as a leader is missing.
        assignment = self._consumer._subscription.subscription.assignment  # noqa: SLF001
        state = assignment.state_value(partition)
        return state.position if state is not None and state.has_valid_position else None

    def _held_up(self) -> bool:
        """Whether a partition has more to read and nothing of it is here."""
        return any(
            not queue and not self._fetched_all(partition)
            for partition, queue in self._waiting.items()
        )

    def _ready(self) -> list[_T]:
        """What no partition that is still to be read could come before."""
        waiting = self._waiting
        if self._held_up():
            return []
        heads = [(queue[0][0], one) for one, queue in waiting.items() if queue]
        heapq.heapify(heads)
        ready: list[_T] = []
        while heads:
            _, partition = heads[0]
            queue = waiting[partition]
            _, item, offset = queue.popleft()
            ready.append(item)
            self.positions[partition] = offset + 1
            if queue:
                heapq.heapreplace(heads, (queue[0][0], partition))
                continue
            heapq.heappop(heads)
            if not self._fetched_all(partition):
                break
        for partition, queue in waiting.items():
            at = self._position(partition)
            if not queue and at is not None:
                self.positions[partition] = max(at, self.positions[partition])
        return ready
