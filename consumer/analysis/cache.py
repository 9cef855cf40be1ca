"""What was answered before: a small cache of so many entries, least recent out."""

import sys
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")

# What CPython takes for one entry besides the value itself: a slot and a link of an ordered
# dictionary (about 170 bytes), the key (33 + 18), the pair with its size (56 + 24).
ENTRY_BYTES = 300


class AnswerCache(Generic[V]):
    """Keeps the `max_entries` most recently used values. Not for several threads."""

    def __init__(self, *, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, tuple[V, int]] = OrderedDict()
        self.nbytes = 0
        """Estimated bytes of all entries, a metric. An answer is short: a task bounds it."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> V | None:
        """The value, which thereby becomes the most recent; None where there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: bytes, value: V) -> None:
        """Keep the value, and push out what was least recently used while there are too many."""
        if self._max_entries == 0:
            return
        old = self._entries.pop(key, None)
        if old is not None:
            self.nbytes -= old[1]
        nbytes = nbytes_of(value)
        self._entries[key] = (value, nbytes)
        self.nbytes += nbytes
        if len(self._entries) > self._max_entries:
            _, (_, out) = self._entries.popitem(last=False)
            self.nbytes -= out


def nbytes_of(value: object) -> int:
    """Estimated bytes of memory of one entry with this value."""
    size = ENTRY_BYTES + sys.getsizeof(value)
    if isinstance(value, tuple):
        size += sum(sys.getsizeof(part) for part in value)
    return size
