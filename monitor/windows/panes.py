"""Panes: ten seconds of event time, open until the watermark passes them."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from operator import attrgetter

import msgspec

from monitor.events import Reading
from monitor.windows.caps import Caps, text_hash
from monitor.windows.valence import NEGATIVE_BELOW, SOFT
from schemas.window import PaneSums

PANE_S = 10
"""Seconds of event time in a pane: six to a window, and the detector's step."""
WINDOW_S = 60
PANES_IN_WINDOW = WINDOW_S // PANE_S

SPIKE_EMOTIONS = ("anger", "fear", "sadness", "disgust")
"""The emotions that are watched for a rise."""


_TEXT = 1000
"""Characters of a text that are kept, after its hash was taken."""


class Fate(StrEnum):
    """What became of an event."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    """Redelivered, or read again by another model."""
    LATE = "late"
    """Its pane had closed."""
    FUTURE = "future"
    """Its time lies too far ahead of its arrival."""
    SEEN = "seen"
    """Read again after a restart; a closed window holds it."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One post in a pane."""

    time: float
    id: str
    partition: int
    offset: int
    event: Reading
    tracks: tuple[str, ...]
    text: int | None
    """`text_hash` of its text."""


class Pane:
    """One open pane: its posts by source and post id, whichever model read them."""

    __slots__ = ("index", "lowest", "posts")

    def __init__(self, index: int) -> None:
        self.index = index
        self.posts: dict[tuple[str | None, str], Entry] = {}
        self.lowest: dict[int, int] = {}
        """Per partition, the lowest offset that feeds it."""

    def add(self, entry: Entry) -> bool:
        """Take a post; False where it was there. Of two readings the one made first stays."""
        lowest = self.lowest.get(entry.partition)
        if lowest is None or entry.offset < lowest:
            self.lowest[entry.partition] = entry.offset
        key = (entry.event.source, entry.event.post_id)
        there = self.posts.get(key)
        if there is None:
            self.posts[key] = entry
            return True
        if _order(entry) < _order(there):
            self.posts[key] = entry
        return False


_TIME_AND_ID = attrgetter("time", "id")
"""What posts are sorted by: the same order on every run."""


def _order(entry: Entry) -> tuple[object, ...]:
    return entry.event.processed_at, entry.id, entry.partition, entry.offset


class TrackPane(msgspec.Struct, frozen=True, gc=False):
    """A closed pane's posts of one track, in order, and their sums."""

    sums: PaneSums
    entries: list[Entry]


class ClosedPane(msgspec.Struct, frozen=True):
    """A closed pane: what each track with posts has in it."""

    index: int
    tracks: dict[str, TrackPane]
    lowest: dict[int, int]
    """Per partition, the lowest offset that feeds it."""


class Panes:
    """The open panes. Pure: the caller feeds events and says how far event time has come.

    Whatever the order in which events of a pane come, and however they are split in batches, it
    closes with the same sums. Memory: the posts of the open panes, which reach from the watermark
    to a minute past the arrival of the newest event.
    """

    def __init__(self, match: Callable[[Reading], tuple[str, ...]], *, texts: bool = True) -> None:
        """Take what finds an event's tracks; `texts` false looks at no text."""
        self._match = match
        self._texts = texts
        self._open: dict[int, Pane] = {}
        self._caps = Caps()
        self._next: int | None = None
        """Index of the pane that closes next; earlier ones are closed."""

    @property
    def closed_until(self) -> int | None:
        """Unix seconds up to which panes are closed; None before the first."""
        return None if self._next is None else self._next * PANE_S

    def restore(self, closed_until: int) -> None:
        """Take events before this time (Unix seconds, a window's end) as closed."""
        self._next = closed_until // PANE_S

    def entry(self, event: Reading, partition: int, offset: int, time: float) -> Entry:
        """Return the event with its tracks and the hash of its text."""
        tracks = self._match(event)
        text = text_hash(event.text) if self._texts else None
        if event.text and len(event.text) > _TEXT:
            event = msgspec.structs.replace(event, text=event.text[:_TEXT])
        return Entry(time, event.id, partition, offset, event, tracks, text)

    def add(self, entry: Entry, watermark: float) -> Fate:
        """Put a post into its pane: COUNTED, DUPLICATE, or LATE where the watermark passed it.

        The watermark is that of the last advance, after which `close` may not have been called.
        """
        index = int(entry.time // PANE_S)
        if (index + 1) * PANE_S <= watermark or (self._next is not None and index < self._next):
            return Fate.LATE
        pane = self._open.get(index)
        if pane is None:
            pane = self._open[index] = Pane(index)
        return Fate.COUNTED if pane.add(entry) else Fate.DUPLICATE

    def close(self, until: float) -> Iterator[ClosedPane]:
        """Close the panes that end at or before `until` (Unix seconds), oldest first.

        Panes without posts are left out.
        """
        end = int(until // PANE_S)
        if self._next is not None and end <= self._next:
            return
        for index in sorted(index for index in self._open if index < end):
            self._next = index + 1
            yield self._sum(self._open.pop(index))
        self._next = end

    def remember(self, entries: list[Entry]) -> None:
        """Let the caps know posts of closed panes, oldest first, after a restart."""
        for entry in entries:
            self._caps.advance(entry.time)
            for track in entry.tracks:
                self._caps.counts(track, entry.event.author, entry.text)

    def lowest_offsets(self) -> dict[int, int]:
        """Return, per partition, the lowest offset that feeds an open pane."""
        lowest: dict[int, int] = {}
        for pane in self._open.values():
            for partition, offset in pane.lowest.items():
                lowest[partition] = min(offset, lowest.get(partition, offset))
        return lowest

    def _sum(self, pane: Pane) -> ClosedPane:
        start = pane.index * PANE_S
        self._caps.advance(start)
        tracks: dict[str, TrackPane] = {}
        for entry in sorted(pane.posts.values(), key=_TIME_AND_ID):
            for track in entry.tracks:
                there = tracks.get(track)
                if there is None:
                    there = tracks[track] = TrackPane(PaneSums(at=start), [])
                there.entries.append(entry)
                _count(there.sums, track, entry, self._caps)
        return ClosedPane(pane.index, tracks, pane.lowest)


def _count(sums: PaneSums, track: str, entry: Entry, caps: Caps) -> None:
    event = entry.event
    sums.posts += 1
    readers, reader = sums.readers, reader_of(event)
    readers[reader] = readers.get(reader, 0) + 1
    within, people = caps.counts(track, event.author, entry.text)
    if not within:
        return
    mood = event.sentiment
    if mood is not None and (valence := mood.valence) is not None:
        soft = SOFT[int(valence * 1000 + 0.5)]
        sums.scored += 1
        sums.soft += soft
        sums.soft_squares += soft * soft
        sums.valence += valence
        if valence < NEGATIVE_BELOW:
            sums.negative += 1
            sums.people += people
    emotions = event.emotions
    if emotions is not None:
        sums.labelled += 1
        if emotions:
            sums.anger += "anger" in emotions
            sums.fear += "fear" in emotions
            sums.sadness += "sadness" in emotions
            sums.disgust += "disgust" in emotions


def reader_of(event: Reading) -> str:
    """Return who read a post: model and revision, and the opinion where the event says it."""
    model, opinion = event.model, event.opinion
    name = model.id if model.revision is None else f"{model.id}@{model.revision}"
    return name if opinion is None else f"{name} ({opinion})"
