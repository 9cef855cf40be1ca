"""The last 24 hours of each track, a minute a slot: what `PageData.windows` answers from."""

from array import array
from collections.abc import Iterator
from datetime import datetime
from math import nan

from msgspec import UnsetType

from monitor.page.data import Band, Columns, Minute, NotFoundError
from schemas.event import EMOTIONS

MINUTES = 24 * 60
_BANDS = ("negative_share", "valence", "posts")
_FIGURES = ("posts", "authors", "valence", "negative_share")
_COLUMNS = (
    *_FIGURES,
    *EMOTIONS,
    *(f"{measure}.{edge}" for measure in _BANDS for edge in ("expected", "low", "high")),
)


class History:
    """The minutes of all tracks; 276 KB a track: 24 columns of 1,440 doubles."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Ring] = {}

    def add(self, minute: Minute) -> None:
        """Keep a minute; one with the same track and start is replaced, one too old is ignored."""
        track = minute.window.track
        ring = self._tracks.get(track)
        if ring is None:
            ring = self._tracks[track] = _Ring()
        ring.put(minute)

    def forget(self, track: str) -> None:
        """Drop a track that is gone."""
        self._tracks.pop(track, None)

    def columns(self, track: str, start: datetime, end: datetime) -> Columns:
        """The minutes from `start` (included) to `end` (not), those kept at most.

        Raises:
            NotFoundError: nothing was kept of this track yet.
        """
        ring = self._tracks.get(track)
        if ring is None:
            raise NotFoundError(f"no track {track!r}")
        newest = ring.newest + 1
        first = min(max(_minute(start), newest - MINUTES, ring.oldest), newest)
        last = max(min(-(-int(end.timestamp()) // 60), newest), first)
        return ring.columns(track, first, last)


class _Ring:
    def __init__(self) -> None:
        self._columns = {name: array("d", [nan]) * MINUTES for name in _COLUMNS}
        self.newest = -1
        """The newest minute kept, counted from 1970."""
        self.oldest = -1
        """The oldest that came in; it may have been overwritten since."""

    def put(self, minute: Minute) -> None:
        number = _minute(minute.window.start)
        if number <= self.newest - MINUTES:
            return
        if self.newest < 0:
            self.oldest = self.newest = number
        self._pass_over(number)
        self.oldest = min(self.oldest, number)
        self.newest = max(self.newest, number)
        slot = number % MINUTES
        for name, figure in _figures(minute):
            self._columns[name][slot] = round(figure, 4)  # as exact as anything is drawn

    def _pass_over(self, number: int) -> None:
        """Empty the slots of the minutes between the newest one and this one."""
        for skipped in range(max(self.newest + 1, number - MINUTES), number):
            for column in self._columns.values():
                column[skipped % MINUTES] = nan

    def columns(self, track: str, first: int, last: int) -> Columns:
        begin, count = first % MINUTES, last - first

        def column(name: str) -> tuple[float | None, ...]:
            kept = self._columns[name]
            run = kept[begin : begin + count]
            if len(run) < count:
                run += kept[: count - len(run)]
            return tuple([None if figure != figure else figure for figure in run])  # noqa: PLR0124

        return Columns(
            track=track,
            start=first * 60,
            posts=tuple([int(one or 0) for one in column("posts")]),
            authors=tuple([None if one is None else int(one) for one in column("authors")]),
            valence=column("valence"),
            negative_share=column("negative_share"),
            emotions={emotion: column(emotion) for emotion in EMOTIONS},
            bands={
                measure: tuple(column(f"{measure}.{edge}") for edge in ("expected", "low", "high"))
                for measure in _BANDS
            },
        )


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def _figures(minute: Minute) -> Iterator[tuple[str, float]]:
    window = minute.window
    yield "posts", window.posts
    yield "authors", _number(window.authors)
    yield "valence", _number(window.valence_mean)
    share = minute.negative_share
    yield "negative_share", _number(window.negative_share if share is None else share)
    for emotion in EMOTIONS:
        # An emotion that a window doesn't list was found in none of its posts, if any was asked.
        yield emotion, window.emotions.get(emotion, 0.0 if window.emotions else nan)
    for measure in _BANDS:
        band: Band | None = getattr(minute.expected, measure)
        yield f"{measure}.expected", nan if band is None else band.expected
        yield f"{measure}.low", nan if band is None else band.low
        yield f"{measure}.high", nan if band is None else band.high


def _number(figure: float | UnsetType) -> float:
    return nan if isinstance(figure, UnsetType) else float(figure)
