"""The bound on what is held between fetch and acknowledgement, by records and by bytes."""

from typing import Literal

from consumer.options import InFlightLimits

_SIZE_MEMORY = 0.2
"""Weight of the newest delivery in the mean record size: five deliveries and it has followed."""


class InFlight:
    """Counts what is held, and says how much more may be fetched."""

    def __init__(self, limits: InFlightLimits) -> None:
        self._limits = limits
        self._mean_size = 1024.0
        self.records = 0
        """Taken up and not let go."""
        self.nbytes = 0
        """Their bytes."""

    def add(self, records: int, nbytes: int) -> None:
        """These were taken up."""
        self.records += records
        self.nbytes += nbytes
        if records:
            self._mean_size += _SIZE_MEMORY * (nbytes / records - self._mean_size)

    def release(self, records: int, nbytes: int) -> None:
        """These are finished, or let go."""
        self.records -= records
        self.nbytes -= nbytes

    @property
    def full(self) -> Literal["records", "bytes"] | None:
        """Which bound is reached, if any."""
        if self.records >= self._limits.max_records:
            return "records"
        if self.nbytes >= self._limits.max_bytes:
            return "bytes"
        return None

    @property
    def low(self) -> bool:
        """Whether there is room enough to fetch again after it was full."""
        share, limits = self._limits.resume_at, self._limits
        return (
            self.records <= share * limits.max_records and self.nbytes <= share * limits.max_bytes
        )

    def room(self, most: int) -> int:
        """How many records to ask for: at least 1, at most `most`.

        The bound on records is never passed by what comes; the one on bytes by about what the
        next records are larger than the last ones.
        """
        by_bytes = (self._limits.max_bytes - self.nbytes) / max(1.0, self._mean_size)
        return max(1, min(most, self._limits.max_records - self.records, int(by_bytes)))
