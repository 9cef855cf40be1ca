"""Micro-batches: what closes one, and what waits for its turn."""

from collections import deque
from collections.abc import Container, Sequence

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
    """Records in the order they came, cut into batches. Has no clock: it is told the time.

    A batch is cut when it is asked for. While every place for batches is taken nobody asks, and
    what waits grows towards full batches; when places are free a batch is as old as `max_wait_s`
    at most.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._waiting: deque[tuple[Record, int, float]] = deque()
        self._nbytes = 0

    def add(self, records: Sequence[Record], sizes: Sequence[int], now: float) -> None:
        """These came at `now` (monotonic seconds); `sizes` are their bytes."""
        self._waiting.extend(zip(records, sizes, (now,) * len(records), strict=True))
        self._nbytes += sum(sizes)

    def take(self, now: float, *, last: bool = False) -> Batch | None:
        """Cut the next batch, if one is full or old enough, or if nothing more will come."""
        waiting = self._waiting
        if not waiting:
            return None
        limits = self._limits
        if len(waiting) < limits.max_records and self._nbytes < limits.max_bytes:
            if last:
                return self._cut("drain")
            if waiting[0][2] + limits.max_wait_s - now > _ROUNDING_S:
                return None
            return self._cut("wait")
        return self._cut("size")

    def _cut(self, otherwise: BatchClosed) -> Batch:
        """Cut up to the bounds; `otherwise` is what closed it if not the bytes."""
        waiting, limits = self._waiting, self._limits
        records: list[Record] = []
        nbytes = 0
        closed_by = otherwise
        while waiting and len(records) < limits.max_records:
            record, size, _ = waiting[0]
            if records and nbytes + size > limits.max_bytes:
                closed_by = "bytes"
                break
            waiting.popleft()
            records.append(record)
            nbytes += size
            if nbytes >= limits.max_bytes:
                closed_by = "bytes"
                break
        self._nbytes -= nbytes
        return Batch(records=tuple(records), nbytes=nbytes, closed_by=closed_by)

    def due(self) -> float | None:
        """When the oldest record will have waited long enough (monotonic); None without one."""
        return self._waiting[0][2] + self._limits.max_wait_s if self._waiting else None

    def drop(self, epochs: Container[int] | None = None) -> tuple[int, int]:
        """Forget what waits of these epochs (None: of all); give records and bytes dropped."""
        kept = (
            deque(entry for entry in self._waiting if entry[0].epoch not in epochs)
            if epochs is not None
            else deque[tuple[Record, int, float]]()
        )
        nbytes = sum(entry[1] for entry in kept)
        dropped = (len(self._waiting) - len(kept), self._nbytes - nbytes)
        self._waiting, self._nbytes = kept, nbytes
        return dropped

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def nbytes(self) -> int:
        """Bytes that wait."""
        return self._nbytes
