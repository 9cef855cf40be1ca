"""Where on the events' topic a minute's posts stand, and which of them a tombstone deleted."""

from collections import OrderedDict
from collections.abc import Mapping

from runtime.kafka.topic_log import Span
from schemas.window import Window

_MINUTES = 24 * 60
_TOMBSTONES = 100_000
"""Keys kept: 10 MB. Beyond them the oldest are forgotten."""
_SHOWN = 20_000
"""Posts that were shown and could have to be taken away."""


class Places:
    """By minute of event time, the stretch of each partition that its windows were built from."""

    def __init__(self) -> None:
        self._minutes: OrderedDict[int, dict[int, Span]] = OrderedDict()

    def add(self, window: Window) -> None:
        """Take the offsets of a window; the last 24 hours are kept."""
        minute = int(window.start.timestamp()) // 60
        spans = self._minutes.setdefault(minute, {})
        for part in window.offsets:
            known = spans.get(part.partition, Span(part.first, part.last + 1))
            spans[part.partition] = Span(
                min(known.start, part.first), max(known.end, part.last + 1)
            )
        while len(self._minutes) > _MINUTES:
            self._minutes.popitem(last=False)

    def spans(self, start: float, end: float) -> dict[int, Span]:
        """The stretches that hold all posts of these seconds of event time that were counted."""
        found: dict[int, Span] = {}
        for minute in range(int(start) // 60, -(-int(end) // 60)):
            for partition, span in self._minutes.get(minute, {}).items():
                known = found.get(partition, span)
                found[partition] = Span(min(known.start, span.start), max(known.end, span.end))
        return found


class Tombstones:
    """Keys of posts that were deleted, each with where: what comes before it is gone."""

    def __init__(self) -> None:
        self._keys: OrderedDict[tuple[int, bytes], int] = OrderedDict()
        self._shown: OrderedDict[tuple[int, bytes], list[str]] = OrderedDict()

    def bury(self, partition: int, offset: int, key: bytes) -> list[str]:
        """There is a tombstone; give the ids of events with its key that were shown."""
        self._keys[partition, key] = offset
        self._keys.move_to_end((partition, key))
        while len(self._keys) > _TOMBSTONES:
            self._keys.popitem(last=False)
        return self._shown.pop((partition, key), [])

    def hides(self, partition: int, offset: int, key: bytes | None) -> bool:
        """Whether the record there was deleted later."""
        return key is not None and self._keys.get((partition, key), -1) > offset

    def shown(self, partition: int, key: bytes | None, event_id: str) -> None:
        """Remember that somebody sees this event."""
        if key is None:
            return
        ids = self._shown.setdefault((partition, key), [])
        if event_id not in ids:
            ids.append(event_id)
        while len(self._shown) > _SHOWN:
            self._shown.popitem(last=False)


def records_in(spans: Mapping[int, Span]) -> int:
    """How many offsets these stretches have."""
    return sum(span.end - span.start for span in spans.values())


def cut(spans: Mapping[int, Span], most: int) -> dict[int, Span]:
    """The stretches, each shortened at its end so that all have `most` offsets at most."""
    total = records_in(spans)
    if total <= most:
        return dict(spans)
    return {
        partition: Span(span.start, span.start + (span.end - span.start) * most // total)
        for partition, span in spans.items()
    }
