"""Micro-batches: what closes one, and what waits for its turn."""

import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from consumer.options import BatchLimits
from consumer.records import Record
from consumer.telemetry.observer import BatchClosed

_ROUNDING_S = 1e-3
"""uvloop's timers have milliseconds, and may ring before the moment they were set for."""


class Batch(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Records that are analysed together. Each carries its offset and epoch to the end."""

    records: tuple[Record, ...]
    nbytes: int
    closed_by: BatchClosed
    turn: int
    """Batches are served in this order."""


class Batcher:
    """Records cut into batches, partitions taking turns. Has no clock: it is told the time.

    A batch is cut when it is asked for. While every place is taken nobody asks, and what waits
    grows towards full batches; when places are free a batch is as old as `max_wait_s` at most.
    Of each partition the order is kept.

    A long queue of one partition keeps no other waiting, though much of it be under way already:
    each record has a turn, one after the last of its partition, or after what is being served
    where its partition has nothing under way (self-clocked fair queueing, Golestani 1994).
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._queues: dict[int, deque[tuple[Record, int, float]]] = {}
        """By epoch; none is empty."""
        self._next: list[tuple[int, int, int]] = []
        """Turn of the first record of each queue, order in which they came to it, epoch: a heap."""
        self._order = itertools.count()
        self._last_turns: dict[int, int] = {}
        """Of each epoch's last record that was given out."""
        self._serving = 0
        self._records = 0
        self._nbytes = 0

    def add(self, records: Sequence[Record], sizes: Sequence[int], now: float) -> None:
        """These came at `now` (monotonic seconds); `sizes` are their bytes."""
        for record, size in zip(records, sizes, strict=True):
            epoch = record.epoch
            queue = self._queues.get(epoch)
            if queue is None:
                queue = self._queues[epoch] = deque()
                turn = max(self._last_turns.get(epoch, 0), self._serving) + 1
                heapq.heappush(self._next, (turn, next(self._order), epoch))
            queue.append((record, size, now))
        self._records += len(records)
        self._nbytes += sum(sizes)

    def served(self, turn: int) -> None:
        """A record of a batch with this turn is done."""
        self._serving = max(self._serving, turn)

    def take(self, now: float, *, last: bool = False) -> Batch | None:
        """Cut the next batch, if one is full or old enough, or if nothing more will come."""
        due = self.due()
        if due is None:
            return None
        limits = self._limits
        if self._records < limits.max_posts and self._nbytes < limits.max_bytes:
            if last:
                return self._cut("drain")
            if due - now > _ROUNDING_S:
                return None
            return self._cut("wait")
        return self._cut("size")

    def _cut(self, otherwise: BatchClosed) -> Batch:
        """Cut up to the bounds; `otherwise` is what closed it if not the bytes."""
        limits = self._limits
        records: list[Record] = []
        nbytes = 0
        closed_by = otherwise
        first_turn = self._next[0][0]
        while self._next and len(records) < limits.max_posts:
            turn, _, epoch = self._next[0]
            queue = self._queues[epoch]
            record, size, _ = queue[0]
            if turn - first_turn >= limits.max_posts:
                closed_by = "turn"  # with the first, they would overtake what is under way
                break
            if records and nbytes + size > limits.max_bytes:
                closed_by = "bytes"
                break
            queue.popleft()
            self._last_turns[epoch] = turn
            if queue:
                heapq.heapreplace(self._next, (turn + 1, next(self._order), epoch))
            else:
                heapq.heappop(self._next)
                del self._queues[epoch]
            records.append(record)
            nbytes += size
            if nbytes >= limits.max_bytes:
                closed_by = "bytes"
                break
        self._records -= len(records)
        self._nbytes -= nbytes
        return Batch(records=tuple(records), nbytes=nbytes, closed_by=closed_by, turn=first_turn)

    def due(self) -> float | None:
        """When the oldest record will have waited long enough (monotonic); None without one."""
        oldest = min((queue[0][2] for queue in self._queues.values()), default=None)
        return None if oldest is None else oldest + self._limits.max_wait_s

    def drop(self, epochs: Iterable[int] | None = None) -> list[Record]:
        """Forget what waits of these epochs (None: of all), and give it."""
        dropped: list[Record] = []
        gone = set(self._last_turns) | set(self._queues) if epochs is None else set(epochs)
        for epoch in gone:
            self._last_turns.pop(epoch, None)
            for record, size, _ in self._queues.pop(epoch, ()):
                dropped.append(record)
                self._nbytes -= size
        self._next = [one for one in self._next if one[-1] not in gone]
        heapq.heapify(self._next)
        self._records -= len(dropped)
        return dropped

    def __len__(self) -> int:
        return self._records

    @property
    def nbytes(self) -> int:
        """Bytes that wait."""
        return self._nbytes
