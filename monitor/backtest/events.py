"""What the live monitor would have reported on a file of affect events."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from monitor.detection import DetectionSettings
from monitor.events import decode
from monitor.tracks import TrackMatcher
from monitor.watch import Watch
from schemas.alert import Alert
from schemas.window import PaneSums

_BATCH = 64
"""Events between two looks at what has closed: far less than a pane of a busy stream."""
_NULLABLE = ("fired_at", "resolved_at", "authors", "same_hour_yesterday", "same_hour_last_week")


class EventFileError(ValueError):
    """A line is no affect event; the message names it."""


def backtest(
    lines: Iterable[bytes],
    matcher: TrackMatcher,
    settings: DetectionSettings,
    *,
    progress: Callable[[int, int], None] = lambda _events, _bytes: None,
    on_pane: Callable[[str, PaneSums], None] | None = None,
) -> Iterator[Alert]:
    """Yield each transition of the events in `lines`, one a line in arrival order.

    `progress` is told events and bytes read so far, every thousand events or so,
    `on_pane` each closed pane by track. At the end all
    that has come is closed, as it would be thirty seconds later.

    Raises:
        EventFileError: a line can't be read.
    """
    watch = Watch(matcher, settings, windows=False, on_pane=on_pane)
    watch.watermark.assign(0)
    read = number = 0
    for number, line in enumerate(lines, start=1):
        read += len(line)
        if not line or line.isspace():
            continue
        try:
            event = decode(line)
        except msgspec.DecodeError as error:
            raise EventFileError(f"line {number} is no affect event: {error}") from None
        watch.feed(event, 0, number)
        if number % _BATCH == 0:
            yield from watch.advance().alerts
            if number % (_BATCH * 16) == 0:
                progress(number, read)
    watch.watermark.idle(0)
    yield from watch.advance(at_least=watch.watermark.latest + settings.lateness_s).alerts
    progress(number, read)


def as_row(alert: Alert) -> dict[str, Any]:
    """Return a transition as one JSON object in which every field is there.

    `id` is the alert's, the same over its transitions; `transition_id` the record's own.
    """
    row: dict[str, Any] = {
        name: value
        for name in alert.__struct_fields__
        if (value := getattr(alert, name)) is not msgspec.UNSET
    }
    row["transition_id"], row["id"] = alert.id, alert.alert_id
    for name in _NULLABLE:
        row.setdefault(name, None)
    ordered: dict[str, Any] = msgspec.to_builtins(row)
    return ordered
