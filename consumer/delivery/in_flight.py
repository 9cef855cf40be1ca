"""The bound on what is held between fetch and acknowledgement, by records and by bytes."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from consumer.options import InFlightLimits
from consumer.records import Record

_SIZE_MEMORY = 0.2
"""Weight of the newest delivery in the mean record size: five deliveries and it has followed."""
_SHARE = 8
"""A partition may hold this many times what is still free (a dynamic threshold, as switches share
their buffers). One with a backlog gets 8/9 of the bound, and a ninth stays free for the others."""


class InFlight:
    """Counts what is held, and says how much more may be fetched, of all and of each partition."""

    def __init__(self, limits: InFlightLimits) -> None:
        self._limits = limits
        self._mean_size = 1024.0
        self._by_epoch: Counter[int] = Counter()
        self.records = 0
        """Received and not finished."""
        self.nbytes = 0
        """Their bytes."""

    def add(self, epoch: int, records: int, nbytes: int) -> None:
        """These of one partition were received."""
        self.records += records
        self.nbytes += nbytes
        self._by_epoch[epoch] += records
        if records:
            self._mean_size += _SIZE_MEMORY * (nbytes / records - self._mean_size)

    def release(self, records: Iterable[Record]) -> None:
        """These are finished, or dropped."""
        by_epoch = self._by_epoch
        for record in records:
            self.records -= 1
            self.nbytes -= record.nbytes
            by_epoch[record.epoch] -= 1
            if not by_epoch[record.epoch]:
                del by_epoch[record.epoch]

    @property
    def full(self) -> Literal["records", "bytes"] | None:
        """Which bound is reached, if any."""
        if self.records >= self._limits.max_posts:
            return "records"
        if self.nbytes >= self._limits.max_bytes:
            return "bytes"
        return None

    @property
    def low(self) -> bool:
        """Whether there is room enough to fetch again after it was full."""
        share, limits = self._limits.resume_at, self._limits
        return self.records <= share * limits.max_posts and self.nbytes <= share * limits.max_bytes

    def room(self, most: int) -> int:
        """How many records to ask for: at least 1, at most `most`.

        The bound on records is never passed by what comes; the one on bytes by about what the
        next records are larger than the last ones.
        """
        by_bytes = (self._limits.max_bytes - self.nbytes) / max(1.0, self._mean_size)
        return max(1, min(most, self._limits.max_posts - self.records, int(by_bytes)))

    def room_of(self, epoch: int) -> int:
        """How many records more this partition may have in flight: its share, 0 past it."""
        free = max(0, self._limits.max_posts - self.records)
        # What it takes isn't free any more: hence the divisor, rounded up.
        return max(0, -((self._by_epoch[epoch] - _SHARE * free) // (_SHARE + 1)))

    def low_of(self, epoch: int) -> bool:
        """Whether a partition that had its share may be fetched again."""
        free = max(0, self._limits.max_posts - self.records)
        return self._by_epoch[epoch] <= self._limits.resume_at * _SHARE * free
