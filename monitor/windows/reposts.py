"""Which posts a track had before, within 24 hours."""

from monitor.windows.distinct import hash64
from monitor.windows.panes import Entry, TrackPane

_SPAN_S = 86_400
_LIMIT = 200_000
"""Texts kept per generation, over all tracks; two generations take some 60 MB. A stream with more
different texts a day remembers fewer hours."""


class Reposts:
    """Counts, per pane and track, the posts whose normalised text came within the last day."""

    def __init__(self) -> None:
        self._new: dict[int, float] = {}
        self._old: dict[int, float] = {}
        self._generation = -1
        self._salts: dict[str, int] = {}

    def count(self, track: str, pane: TrackPane) -> int:
        """Return how many of the pane's posts are reposts, and remember its texts."""
        return sum(self.remember(track, entry) for entry in pane.entries)

    def remember(self, track: str, entry: Entry) -> bool:
        """Remember a post's text; return whether the track had it within the day before."""
        if entry.text is None:
            return False
        salt = self._salts.get(track)
        if salt is None:
            if len(self._salts) > 10_000:
                self._salts.clear()
            salt = self._salts[track] = hash64(track)
        self._advance(entry.time)
        key = entry.text ^ salt
        seen = self._new.get(key, self._old.get(key))
        self._new[key] = entry.time
        return seen is not None and entry.time - seen <= _SPAN_S

    def _advance(self, time: float) -> None:
        generation = int(time // _SPAN_S)
        if generation > self._generation:
            self._old = self._new if generation == self._generation + 1 else {}
            self._new = {}
            self._generation = generation
        elif len(self._new) >= _LIMIT:
            self._old, self._new = self._new, {}
