"""How many distinct authors: exact up to some thousands, then estimated, in bounded memory."""

import heapq
from hashlib import blake2b

KEPT = 2048
"""Hashes kept: exact up to here; past it the standard error is 1 / sqrt(2046), 2.2 %."""

_SPACE = float(1 << 64)


def hash64(value: str | bytes) -> int:
    """Return 64 bits that are the same on every machine and in every run."""
    raw = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8).digest())


class Distinct:
    """Counts distinct values by their 64-bit hashes, keeping the smallest 2,048 to 4,096 of them.

    The k-minimum-values estimate (Bar-Yossef et al. 2002): (k - 1) over the k-th smallest hash as
    a share of the hash space. `datasketches` has the same in its theta sketch, but brings numpy.
    """

    def __init__(self) -> None:
        self._hashes: set[int] = set()
        self._below = 1 << 64
        """Hashes from here on are no longer kept."""

    def add(self, hashed: int) -> None:
        """Count a value by its `hash64`."""
        if hashed < self._below:
            self._hashes.add(hashed)
            if len(self._hashes) > 2 * KEPT:
                smallest = heapq.nsmallest(KEPT + 1, self._hashes)
                self._below = smallest.pop()
                self._hashes = set(smallest)

    def count(self) -> int:
        """Return the number of distinct values."""
        if self._below == 1 << 64:
            return len(self._hashes)
        return round(len(self._hashes) / (self._below / _SPACE))
