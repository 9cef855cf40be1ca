"""The small curves beside the tracks' names: 24 hours in quarters of an hour."""

from datetime import UTC, datetime

from monitor.page.data import Columns, NotFoundError, PageData
from monitor.page.wire import QuarterChange, Spark

_QUARTER = 900  # seconds
_COUNT = 96


class Sparks:
    """Reads a quarter again only when one of its minutes changed."""

    def __init__(self, data: PageData) -> None:
        self._data = data
        self._quarters: dict[str, dict[int, float | None]] = {}
        self._changed: dict[str, set[int]] = {}

    def touch(self, track: str, start: datetime) -> None:
        """A minute of this track is new."""
        number = int(start.timestamp()) // _QUARTER
        self._changed.setdefault(track, set()).add(number)

    def quarter(self, track: str, start: datetime) -> QuarterChange:
        """The quarter that this minute is in, as it is now."""
        number = int(start.timestamp()) // _QUARTER
        share = self._read(track, number, number).get(number)
        return QuarterChange(track=track, start=number * _QUARTER, negative_share=share)

    def of(self, track: str, now: float) -> Spark:
        """The curve that ends with the quarter of `now` (Unix seconds of event time)."""
        last = int(now) // _QUARTER
        first = last - _COUNT + 1
        known = self._quarters.get(track)
        if known is None:
            known = self._quarters[track] = self._read(track, first, last)
            self._changed.pop(track, None)
        for number in sorted(self._changed.pop(track, ())):
            known.update(self._read(track, number, number))
        for number in [one for one in known if one < first]:
            del known[number]
        return Spark(
            start=first * _QUARTER,
            negative_share=tuple(known.get(number) for number in range(first, last + 1)),
        )

    def keep(self, tracks: set[str]) -> None:
        """Forget the tracks that are gone."""
        for gone in self._quarters.keys() - tracks:
            del self._quarters[gone]
        for gone in self._changed.keys() - tracks:
            del self._changed[gone]

    def _read(self, track: str, first: int, last: int) -> dict[int, float | None]:
        start = datetime.fromtimestamp(first * _QUARTER, UTC)
        end = datetime.fromtimestamp((last + 1) * _QUARTER, UTC)
        try:
            columns = self._data.windows(track, start, end)
        except NotFoundError:
            return {}
        return _quarters(columns)


def _quarters(columns: Columns) -> dict[int, float | None]:
    """Each quarter's share negative, its minutes weighed by their posts."""
    posts: dict[int, int] = {}
    negative: dict[int, float] = {}
    for index, (count, share) in enumerate(zip(columns.posts, columns.negative_share, strict=True)):
        if share is not None and count:
            number = (columns.start + 60 * index) // _QUARTER
            posts[number] = posts.get(number, 0) + count
            negative[number] = negative.get(number, 0.0) + share * count
    return {number: round(negative[number] / posts[number], 3) for number in posts}
