"""What was answered before: a small cache, bounded by entries and by bytes, least recent out."""

import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")

# What CPython takes for one entry besides the value itself: a slot and a link of an ordered
# dictionary (about 170 bytes), the key (33 + 18), the triple with size and expiry (64 + 24).
ENTRY_BYTES = 310


class AnswerCache(Generic[V]):
    """Keeps the most recently used values. Not for several threads.

    Promises: never more than `max_entries` entries, nor more than `max_bytes` bytes as estimated
    by `nbytes_of`; an entry older than `ttl_s` seconds (where above 0) is not given out.
    """

    def __init__(
        self,
        *,
        max_entries: int,
        max_bytes: int,
        ttl_s: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._monotonic = monotonic
        self._entries: OrderedDict[bytes, tuple[V, int, float]] = OrderedDict()
        self.nbytes = 0
        """Estimated bytes of all entries."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> V | None:
        """The value, which thereby becomes the most recent; None where there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._ttl_s and entry[2] <= self._monotonic():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: bytes, value: V) -> None:
        """Keep the value, and push out what was least recently used while over a bound."""
        nbytes = nbytes_of(value)
        if self._max_entries == 0 or nbytes > self._max_bytes:
            return
        self._drop(key)
        expires = self._monotonic() + self._ttl_s if self._ttl_s else 0.0
        self._entries[key] = (value, nbytes, expires)
        self.nbytes += nbytes
        while len(self._entries) > self._max_entries or self.nbytes > self._max_bytes:
            _, (_, out, _) = self._entries.popitem(last=False)
            self.nbytes -= out

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.nbytes -= entry[1]


def nbytes_of(value: object) -> int:
    """Estimated bytes of memory of one entry with this value."""
    size = ENTRY_BYTES + sys.getsizeof(value)
    if isinstance(value, tuple):
        size += sum(sys.getsizeof(part) for part in value)
    return size
