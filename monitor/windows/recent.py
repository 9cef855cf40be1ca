"""What was seen lately, forgotten by generations: bounded by time and by number."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class RecentCounts(Generic[K]):
    """Counts keys over the last one to two `span_s` seconds of event time.

    Two generations, each of `span_s` seconds aligned to the epoch, so that the same events give
    the same counts wherever the reading began. A generation that holds `limit` keys takes no
    more new ones: those count as never seen, which caps less, never more.
    """

    def __init__(self, *, span_s: int, limit: int) -> None:
        self._span_s = span_s
        self._limit = limit
        self._now = -1
        self._new: dict[K, int] = {}
        self._old: dict[K, int] = {}

    def advance(self, event_time: float) -> None:
        """Forget what is older than two generations. Time never goes back here."""
        generation = int(event_time // self._span_s)
        if generation > self._now:
            self._old = self._new if generation == self._now + 1 else {}
            self._new = {}
            self._now = generation

    def add(self, key: K) -> int:
        """Count a key; return how often it had been seen before."""
        new = self._new.get(key)
        before = (new or 0) + self._old.get(key, 0)
        if new is not None or len(self._new) < self._limit:
            self._new[key] = (new or 0) + 1
        return before

    def __len__(self) -> int:
        return len(self._new) + len(self._old)
