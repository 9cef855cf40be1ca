"""What the live monitor would have reported on a file of affect events."""

from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from monitor.detection import DetectionSettings
from monitor.events import Reading, decode
from monitor.tracks import TrackMatcher
from monitor.watch import Watch
from monitor.windows import PANE_S, Fate
from monitor.windows.watermark import FUTURE_S, OUT_OF_ORDER_S
from schemas.alert import Alert
from schemas.window import PaneSums

_TOLD_EVERY = 1024
"""Lines between two reports of the progress."""
_LAST_SECOND = 253_402_300_799.0
"""Unix seconds: the last one that a datetime has."""
_TEXTLESS = 50
"""Events in a row without a text, after which it is told that they carry none."""
_NULLABLE = ("fired_at", "resolved_at", "authors", "same_hour_yesterday", "same_hour_last_week")


class EventFileError(ValueError):
    """No line is an affect event; the message says why the first one isn't."""


class Tally(msgspec.Struct):
    """What became of a file's lines."""

    fates: dict[Fate, int] = {}
    """Events by what they came to, once the backtest is at its end."""
    unreadable: int = 0
    """Lines that are no affect event: left out, as the live monitor does with such records."""
    first: str = ""
    """The first of those, and what is wrong with it."""


def backtest(
    lines: Iterable[bytes],
    matcher: TrackMatcher,
    settings: DetectionSettings,
    *,
    texts: bool = True,
    future_s: float = FUTURE_S,
    out_of_order_s: float = OUT_OF_ORDER_S,
    progress: Callable[[int, int], None] = lambda _events, _bytes: None,
    on_pane: Callable[[str, PaneSums], None] | None = None,
    on_no_text: Callable[[], None] = lambda: None,
    tally: Tally | None = None,
) -> Iterator[Alert]:
    """Yield each transition of the events in `lines`, one a line in arrival order.

    `texts` false looks at no text. When an event was made stands for its arrival: one that lies
    more than `future_s` seconds ahead of that counts nowhere, and `out_of_order_s` (see
    `Watermark`) counts by it. `progress` is told lines and bytes read so far, every thousand lines
    or so, `on_pane` each closed pane by track; `on_no_text` is called once where tracks look for
    keywords and the first fifty events, or all, carry no text; `tally` gets what became of the
    lines. At the end all that has come is closed, as it would be with time.

    Raises:
        EventFileError: there are lines, and none of them is an affect event.
    """
    watch = Watch(
        matcher,
        settings,
        windows=False,
        texts=texts,
        future_s=future_s,
        out_of_order_s=out_of_order_s,
        on_pane=on_pane,
    )
    watermark, tally = watch.watermark, Tally() if tally is None else tally
    watermark.assign(0)
    read = number = events = 0
    textless = _Textless(_TEXTLESS if matcher.needs_text else 0, on_no_text)
    due = datetime.min.replace(tzinfo=UTC)
    for number, line in enumerate(lines, start=1):
        read += len(line)
        if number % _TOLD_EVERY == 0:
            progress(number, read)
        if number == 1:
            line = line.removeprefix(BOM_UTF8)  # noqa: PLW2901
        try:
            event = decode(line)
        except msgspec.DecodeError as error:
            if not line or line.isspace():
                continue
            tally.first = tally.first or f"line {number} is no affect event: {error}"
            tally.unreadable += 1
            continue
        if textless.left:
            textless.see(event)
        # The place among the events, as a topic's offset: blank lines change nothing.
        watch.feed(event, 0, events)
        events += 1
        if event.created_at >= due:  # a pane's end may have been passed
            yield from watch.advance().alerts
            due = _next_end(watermark.value, settings.lateness_s)
    textless.end()
    watermark.idle(0)
    yield from watch.advance(at_least=watermark.latest + PANE_S + settings.lateness_s).alerts
    progress(number, read)
    tally.fates = dict(watch.fates)
    if tally.unreadable and not events:
        raise EventFileError(tally.first)


class _Textless:
    """Tells once where the first events, or all of a few, carry no text."""

    def __init__(self, most: int, tell: Callable[[], None]) -> None:
        self._most = most
        self._tell = tell
        self.left = most
        """Events still to look at."""

    def see(self, event: Reading) -> None:
        self.left = 0 if event.text else self.left - 1
        if not (self.left or event.text):
            self._tell()

    def end(self) -> None:
        if 0 < self.left < self._most:
            self._tell()


def _next_end(watermark: float, lateness_s: float) -> datetime:
    """Return the event time (to compare without converting each) at which the next pane closes."""
    if watermark == float("-inf"):
        return datetime.min.replace(tzinfo=UTC)
    end = (watermark // PANE_S + 1) * PANE_S + lateness_s
    return datetime.fromtimestamp(min(end, _LAST_SECOND), UTC)


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
