"""A closed minute of one track, as `schemas.Window`."""

from datetime import UTC, datetime

from msgspec import UNSET

from monitor.tracks.names import OTHER, clean_name
from monitor.windows.distinct import Distinct, hash64
from monitor.windows.panes import WINDOW_S, TrackPane
from monitor.windows.valence import BINS, NEGATIVE_BELOW, SOFT, quantile
from schemas.window import Expected, OffsetRange, PaneSums, Quantiles, Window

_VALUES = 64
"""Different models, sources, languages or emotions kept apart; more count in `other`."""
_AUTHORS = 10_000
"""Authors counted for the largest share; a larger crowd has no author that matters."""
_DECIMALS = 6


class Minute:
    """Adds up the panes of one window."""

    def __init__(self, track: str, start: int) -> None:
        """Begin the window of a track that starts at `start` (Unix seconds)."""
        self._track = track
        self._start = start
        self._panes: list[PaneSums] = []
        self._posts = self._negative = self._reposts = self._texts = 0
        self._soft = self._valence = 0.0
        self._histogram = [0] * BINS
        self._labelled = 0
        self._emotions: dict[str, int] = {}
        self._intensity: dict[str, list[float]] = {}
        self._authors = Distinct()
        self._by_author: dict[str, int] = {}
        self._models: dict[str, int] = {}
        self._opinions: dict[str, int] = {}
        self._sources: dict[str, int] = {}
        self._langs: dict[str, int] = {}
        self._offsets: dict[int, tuple[int, int]] = {}

    @property
    def track(self) -> str:
        """The track's name."""
        return self._track

    def add(self, pane: TrackPane, reposts: int) -> None:
        """Take a closed pane, and how many of its posts the track had within 24 hours."""
        self._panes.append(pane.sums)
        self._reposts += reposts
        for entry in pane.entries:
            event = entry.event
            self._posts += 1
            self._texts += event.text is not None
            if event.sentiment is not None and (valence := event.sentiment.valence) is not None:
                self._histogram[int(valence * (BINS - 1) + 0.5)] += 1
                self._negative += valence < NEGATIVE_BELOW
                self._soft += SOFT[int(valence * 1000 + 0.5)]
                self._valence += valence
            if event.emotions is not None:
                self._labelled += 1
                for emotion in event.emotions:
                    _count(self._emotions, emotion)
            for emotion, value in (event.intensity or {}).items():
                if emotion in self._intensity or len(self._intensity) < _VALUES:
                    known = self._intensity.setdefault(emotion, [0.0, 0.0])
                    known[0] += 1
                    known[1] += value
            if event.author is not None:
                self._add_author(event.author)
            model = event.model
            name = model.id if model.revision is None else f"{model.id}@{model.revision}"
            _count(self._models, name)
            if event.opinion is not None:
                _count(self._opinions, event.opinion)
            _count_name(self._sources, event.source)
            _count_name(self._langs, event.lang)
            self._add_offset(entry.partition, entry.offset)

    def _add_offset(self, partition: int, offset: int) -> None:
        first, last = self._offsets.get(partition, (offset, offset))
        self._offsets[partition] = min(first, offset), max(last, offset)

    def _add_author(self, author: str) -> None:
        self._authors.add(hash64(author))
        if author in self._by_author or len(self._by_author) < _AUTHORS:
            self._by_author[author] = self._by_author.get(author, 0) + 1

    @property
    def start(self) -> int:
        """Unix seconds."""
        return self._start

    @property
    def scored(self) -> float:
        """Posts with a valence, after the caps."""
        return sum(pane.scored for pane in self._panes)

    def close(self, *, late: int = 0, expected: Expected | None = None) -> Window:
        """Return the window. `late` events were counted since the window before it closed."""
        posts = self._posts
        scored = sum(self._histogram)
        known = bool(self._by_author)
        return Window(
            version=1,
            track=self._track,
            start=datetime.fromtimestamp(self._start, UTC),
            end=datetime.fromtimestamp(self._start + WINDOW_S, UTC),
            posts=posts,
            late=late,
            scored=scored,
            negative=self._negative,
            negative_share=_ratio(self._negative, scored) if scored else UNSET,
            negative_soft=_ratio(self._soft, scored) if scored else UNSET,
            valence_mean=_ratio(self._valence, scored) if scored else UNSET,
            valence_quantiles=self._quantiles() if scored else UNSET,
            emotions=_shares(self._emotions, self._labelled),
            intensity={
                name: _ratio(total, number)
                for name, (number, total) in sorted(self._intensity.items())
            },
            authors=self._authors.count() if known else UNSET,
            top_author_share=_ratio(max(self._by_author.values()), posts) if known else UNSET,
            repost_share=_ratio(self._reposts, self._texts) if self._texts else UNSET,
            models=_shares(self._models, posts),
            opinions=_shares(self._opinions, posts),
            sources=_shares(self._sources, posts),
            langs=_shares(self._langs, posts),
            expected=UNSET if expected is None else expected,
            offsets=tuple(
                OffsetRange(partition=partition, first=first, last=last)
                for partition, (first, last) in sorted(self._offsets.items())
            ),
            panes=tuple(self._panes),
        )

    def _quantiles(self) -> Quantiles:
        p10, p50, p90 = (quantile(self._histogram, share) for share in (0.1, 0.5, 0.9))
        return Quantiles(p10=p10, p50=p50, p90=p90)


def _count(counts: dict[str, int], value: str) -> None:
    if value not in counts and len(counts) >= _VALUES:
        value = OTHER
    counts[value] = counts.get(value, 0) + 1


def _count_name(counts: dict[str, int], name: str | None) -> None:
    """Count what a stranger wrote: it is limited before it becomes a key."""
    if name is not None:
        _count(counts, name if name in counts else clean_name(name) or OTHER)


def _ratio(part: float, whole: float) -> float:
    return min(1.0, round(part / whole, _DECIMALS))


def _shares(counts: dict[str, int], whole: int) -> dict[str, float]:
    return {name: _ratio(count, whole) for name, count in sorted(counts.items())}
