"""Micro-batches: what closes one, and what waits for its turn."""

from collections import OrderedDict, deque
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


class Batcher:
    """Records cut into batches, partitions taking turns. Has no clock: it is told the time.

    A batch is cut when it is asked for. While every place is taken nobody asks, and what waits
    grows towards full batches; when places are free a batch is as old as `max_wait_s` at most.
    Of each partition the order is kept; a long queue of one keeps no other waiting.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._queues: OrderedDict[int, deque[tuple[Record, int, float]]] = OrderedDict()
        """By epoch; the first one has the next turn."""
        self._records = 0
        self._nbytes = 0

    def add(self, records: Sequence[Record], sizes: Sequence[int], now: float) -> None:
        """These came at `now` (monotonic seconds); `sizes` are their bytes."""
        for record, size in zip(records, sizes, strict=True):
            queue = self._queues.get(record.epoch)
            if queue is None:
                queue = self._queues[record.epoch] = deque()
            queue.append((record, size, now))
        self._records += len(records)
        self._nbytes += sum(sizes)

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
        queues, limits = self._queues, self._limits
        records: list[Record] = []
        nbytes = 0
        closed_by = otherwise
        while queues and len(records) < limits.max_posts:
            epoch, queue = next(iter(queues.items()))
            record, size, _ = queue[0]
            if records and nbytes + size > limits.max_bytes:
                closed_by = "bytes"
                break
            queue.popleft()
            if queue:
                queues.move_to_end(epoch)
            else:
                del queues[epoch]
            records.append(record)
            nbytes += size
            if nbytes >= limits.max_bytes:
                closed_by = "bytes"
                break
        self._records -= len(records)
        self._nbytes -= nbytes
        return Batch(records=tuple(records), nbytes=nbytes, closed_by=closed_by)

    def due(self) -> float | None:
        """When the oldest record will have waited long enough (monotonic); None without one."""
        oldest = min((queue[0][2] for queue in self._queues.values()), default=None)
        return None if oldest is None else oldest + self._limits.max_wait_s

    def drop(self, epochs: Iterable[int] | None = None) -> list[Record]:
        """Forget what waits of these epochs (None: of all), and give it."""
        dropped: list[Record] = []
        for epoch in list(self._queues) if epochs is None else epochs:
            for record, size, _ in self._queues.pop(epoch, ()):
                dropped.append(record)
                self._nbytes -= size
        self._records -= len(dropped)
        return dropped

    def __len__(self) -> int:
        return self._records

    @property
    def nbytes(self) -> int:
        """Bytes that wait."""
        return self._nbytes
