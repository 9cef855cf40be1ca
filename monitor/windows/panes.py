"""Panes: ten seconds of event time, open until the watermark passes them."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from operator import attrgetter

import msgspec

from monitor.events import Reading
from monitor.tracks.names import LONGEST_TAG, MAX_TAGS
from monitor.windows.caps import Caps, text_hash
from monitor.windows.known import KnownPosts
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
    """Its pane had closed, and it isn't known to be a duplicate."""
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
        self._known = KnownPosts()
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
        for tag in event.topics:
            if len(tag) > LONGEST_TAG or len(event.topics) > MAX_TAGS:
                event = msgspec.structs.replace(event, topics=_short(event.topics))
                break
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
        partition, offset, event = entry.partition, entry.offset, entry.event
        if pane.lowest.setdefault(partition, offset) > offset:
            pane.lowest[partition] = offset
        key = event.source, event.post_id
        there = pane.posts.setdefault(key, entry)
        if there is entry:
            return Fate.COUNTED
        if _order(entry) < _order(there):  # of two readings the one made first stays
            pane.posts[key] = entry
        return Fate.DUPLICATE

    def came_before(self, entry: Entry) -> bool:
        """Say of a late post whether it came before, as far as that is remembered; remember it."""
        key = entry.event.source, entry.event.post_id
        if key in self._known:
            return True
        self._known.add((key,))
        return False

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
        """Know posts of closed panes again, oldest first, after a restart: for caps and copies."""
        self._known.add((entry.event.source, entry.event.post_id) for entry in entries)
        for entry in entries:
            self._caps.advance(entry.time)
            for track in entry.tracks:
                self._caps.counts(track, [entry])

    def tracks(self) -> set[str]:
        """Return the tracks that have posts in open panes."""
        posts = (entry for pane in self._open.values() for entry in pane.posts.values())
        return {track for entry in posts for track in entry.tracks}

    def lowest_offsets(self) -> dict[int, int]:
        """Return, per partition, the lowest offset that feeds an open pane."""
        lowest: dict[int, int] = {}
        for pane in self._open.values():
            for partition, offset in pane.lowest.items():
                lowest[partition] = min(offset, lowest.get(partition, offset))
        return lowest

    def _sum(self, pane: Pane) -> ClosedPane:
        start = pane.index * PANE_S
        self._known.add(pane.posts)
        self._caps.advance(start)
        posts: dict[str, list[Entry]] = {}
        for entry in sorted(pane.posts.values(), key=_TIME_AND_ID):
            for track in entry.tracks:
                if track in posts:
                    posts[track].append(entry)
                else:
                    posts[track] = [entry]
        tracks = {
            track: TrackPane(_sums(start, entries, self._caps.counts(track, entries)), entries)
            for track, entries in posts.items()
        }
        return ClosedPane(pane.index, tracks, pane.lowest)


def _short(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a matcher looks at: it finds the same tracks by them."""
    return tuple(tag[: LONGEST_TAG + 1] for tag in tags[:MAX_TAGS])


def _sums(start: int, entries: list[Entry], counted: list[tuple[bool, float]]) -> PaneSums:
    """Add up a track's posts; `counted` says of each whether it counts, and for how many people.

    The numbers are gathered in variables: in fields of the struct it took twice as long, and this
    is done for every post.
    """
    scored = negative = labelled = anger = fear = sadness = disgust = 0
    soft = soft_squares = valence = people = 0.0
    readers: dict[str, int] = {}
    for entry, (within, stands_for) in zip(entries, counted, strict=True):
        event = entry.event
        reader = reader_of(event)
        readers[reader] = readers.get(reader, 0) + 1
        if not within:
            continue
        mood = event.sentiment
        if mood is not None and (value := mood.valence) is not None:
            seems = SOFT[int(value * 1000 + 0.5)]
            scored += 1
            soft += seems
            soft_squares += seems * seems
            valence += value
            if value < NEGATIVE_BELOW:
                negative += 1
                people += stands_for
        emotions = event.emotions
        if emotions is not None:
            labelled += 1
            if emotions:
                anger += "anger" in emotions
                fear += "fear" in emotions
                sadness += "sadness" in emotions
                disgust += "disgust" in emotions
    return PaneSums(
        at=start,
        posts=len(entries),
        scored=float(scored),
        soft=soft,
        soft_squares=soft_squares,
        negative=float(negative),
        valence=valence,
        people=people,
        labelled=float(labelled),
        anger=float(anger),
        fear=float(fear),
        sadness=float(sadness),
        disgust=float(disgust),
        readers=readers,
    )


def reader_of(event: Reading) -> str:
    """Return who read a post: model and revision, and the opinion where the event says it."""
    model, opinion = event.model, event.opinion
    if model.revision is None and opinion is None:
        return model.id
    name = model.id if model.revision is None else f"{model.id}@{model.revision}"
    return name if opinion is None else f"{name} ({opinion})"
