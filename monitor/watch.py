"""Windows and detectors together: events in, closed windows and alerts out."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from monitor.detection import (
    DetectionSettings,
    Recall,
    SnapshotError,
    TrackDetector,
    Transition,
    make_alert,
)
from monitor.events import Reading
from monitor.tracks import TrackMatcher
from monitor.windows import (
    PANE_S,
    PANES_IN_WINDOW,
    WINDOW_S,
    ClosedPane,
    Entry,
    Fate,
    Minute,
    Panes,
    Reposts,
    Watermark,
)
from monitor.windows.watermark import FUTURE_S, OUT_OF_ORDER_S
from schemas.alert import Alert
from schemas.window import PaneSums, Window


class Closed(NamedTuple):
    """What an advance of event time has brought about."""

    windows: list[Window]
    """Closed minutes, in order of time, then track. Publish them before the alerts."""
    alerts: list[Alert]
    released: list[str]
    """Automatic tracks that fell silent: their places are free, and nothing is known of them."""


_SILENT_S = 8 * 86_400
"""Event time without posts after which a track that nobody named is released: its last weekday and
hour are no comparison any more."""


class Watch:
    """The monitor's core. Pure: no Kafka, no clock; the same live and in a backtest.

    Feed it events, say which partitions are read to their end, advance. Of one closed window
    stands in `windows` what `affect.windows` gets; the detectors' snapshots and those windows
    bring a new Watch to the same state.
    """

    def __init__(
        self,
        matcher: TrackMatcher,
        settings: DetectionSettings | None = None,
        *,
        windows: bool = True,
        texts: bool = True,
        live: bool = True,
        future_s: float = FUTURE_S,
        out_of_order_s: float = OUT_OF_ORDER_S,
        on_pane: Callable[[str, PaneSums], None] | None = None,
    ) -> None:
        """Take what finds tracks, and the detectors' settings.

        `windows` false builds no windows, only alerts (a backtest). `texts` false looks at no
        text. `live` false raises no alerts: see `raising`. `future_s` is how many seconds an event
        may lie ahead of its arrival; `out_of_order_s`: see `Watermark`. `on_pane` is told each
        closed pane of each track.
        """
        self._matcher = matcher
        self._settings = settings or DetectionSettings()
        self._panes = Panes(matcher.match, texts=texts)
        self._windows = windows
        self._texts = texts
        self._on_pane = on_pane
        self.watermark = Watermark(
            lateness_s=self._settings.lateness_s, future_s=future_s, out_of_order_s=out_of_order_s
        )
        self.raising = live
        """Whether alerts are returned. Off, all is learnt the same: for warming on history."""
        self._detectors: dict[str, TrackDetector] = {}
        self._recalls: dict[str, Recall] = {}
        self._minutes: dict[str, Minute] = {}
        self._minute: int | None = None
        """Unix seconds of the minute that `_minutes` add up."""
        self._hour: int | None = None
        """The hour of event time for which silent tracks were released."""
        self._minute_offsets: dict[int, int] = {}
        """Per partition, the lowest offset that feeds the running minute's closed panes."""
        self._reposts = Reposts()
        self._late: dict[int, dict[str, int]] = {}
        """Late events by track, under the start of the window that was to close next."""
        self._late_in_minute: dict[str, int] = {}
        self._read_until: Mapping[int, int] = {}
        self._has_authors = self._has_texts = False
        self._next: dict[int, int] = {}
        self._advanced = float("-inf")
        """The watermark for which all is closed."""
        self._counted = 0
        """Events that came to `Fate.COUNTED`: nearly all, and an enum's hash is slow."""
        self._other_fates = dict.fromkeys(Fate, 0)

    @property
    def fates(self) -> Mapping[Fate, int]:
        """How many events came to what; for metrics."""
        return {**self._other_fates, Fate.COUNTED: self._counted}

    @property
    def detectors(self) -> Mapping[str, TrackDetector]:
        """The detectors by track."""
        return self._detectors

    def feed(
        self, event: Reading, partition: int, offset: int, arrived: float | None = None
    ) -> Fate:
        """Take one event. `arrived` is the record's broker time, Unix seconds.

        Without it, the time at which the event was made is used.
        """
        time = event.created_at.timestamp()
        self._next[partition] = offset + 1
        if time < 0:  # before 1970: no clock that works, and no window has room for it
            self._other_fates[Fate.LATE] += 1
            return Fate.LATE
        made = arrived
        if made is None:
            made = event.processed_at.timestamp()
        if not self.watermark.observe(partition, time, made):
            self._other_fates[Fate.FUTURE] += 1
            return Fate.FUTURE
        entry = self._panes.entry(event, partition, offset, time)
        fate = self._panes.add(entry, self.watermark.value)
        if fate is Fate.COUNTED:
            self._counted += 1
            return fate
        if fate is Fate.LATE:
            fate = self._late_fate(entry)
        self._other_fates[fate] += 1
        return fate

    def _late_fate(self, entry: Entry) -> Fate:
        """Say what an event is whose pane had closed, and count it by track where it is late."""
        if entry.offset <= self._read_until.get(entry.partition, -1):
            return Fate.SEEN
        if self._panes.came_before(entry):
            return Fate.DUPLICATE
        # After a restart the watermark may not have moved yet: what was closed counts.
        passed = max(self.watermark.value, self._panes.closed_until or float("-inf"))
        next_window = int(passed // WINDOW_S) * WINDOW_S
        late = self._late.setdefault(next_window, {})
        for track in entry.tracks:
            late[track] = late.get(track, 0) + 1
            if track in self._recalls:
                self._recalls[track].late.append(entry.time)
        return Fate.LATE

    def advance(self, *, at_least: float = float("-inf"), quiet_s: float = 0.0) -> Closed:
        """Close what the watermark has passed. `at_least`, `quiet_s`: see `Watermark.advance`."""
        closed = Closed([], [], [])
        until = self.watermark.advance(at_least=at_least, quiet_s=quiet_s)
        if until == self._advanced:
            return closed
        self._advanced = until
        for pane in self._panes.close(until):
            self._close_minute(pane.index, closed)
            self._take(pane, closed)
        if self._panes.closed_until is not None:
            self._close_minute(self._panes.closed_until // PANE_S, closed)
            self._pass_time(self._panes.closed_until // PANE_S, closed)
            hour = self._panes.closed_until // 3600
            if hour != self._hour:
                self._hour = hour
                self._release_silent(self._panes.closed_until, closed)
        return closed

    def data_stopped(self, silent_s: float) -> list[Alert]:
        """Hear that no event has come for so many seconds by the clock on the wall.

        Open alerts become stale; event time stays where it is, and nothing closes.
        """
        closed = Closed([], [], [])
        if silent_s >= self._settings.silence_s:
            for detector in self._detectors.values():
                transitions = detector.data_stopped(silent_s)
                if transitions:
                    self._raise(detector, transitions, closed)
        return closed.alerts

    def open_alerts(self) -> list[Alert]:
        """Return the alerts that are open as they are now; after a restart or a warming."""
        closed = Closed([], [], [])
        for detector in self._detectors.values():
            self._raise(detector, detector.still_open(), closed)
        return closed.alerts

    def safe_offsets(self) -> dict[int, int]:
        """Return, per partition, the offset to commit once all returned windows are acknowledged.

        It is the lowest that feeds a window that is still open, else the next one to read.
        """
        lowest = self._panes.lowest_offsets()
        for partition, offset in self._minute_offsets.items():
            lowest[partition] = min(offset, lowest.get(partition, offset))
        return {
            partition: lowest.get(partition, position) for partition, position in self._next.items()
        }

    def snapshots(self) -> dict[str, bytes]:
        """Return each track's baseline, to be kept with `closed_until`."""
        return {track: detector.snapshot() for track, detector in self._detectors.items()}

    @property
    def closed_until(self) -> int | None:
        """Unix seconds: the end of the last closed window."""
        return None if self._minute is None else self._minute

    def restore(
        self,
        snapshots: Iterable[bytes],
        windows: Iterable[Window],
        *,
        closed_until: int,
        read_until: Mapping[int, int],
    ) -> list[str]:
        """Come to the state of a Watch that stopped; before the first event.

        `snapshots` are baselines, `windows` those published after them, oldest first.
        `closed_until` is the end (Unix seconds) of the last published window, `read_until` the
        highest offset per partition that a published window was built from. Returns tracks whose
        snapshot couldn't be used: they warm from the windows alone.
        """
        refused: list[str] = []
        for snapshot in snapshots:
            try:
                detector = TrackDetector.restore(snapshot, self._settings)
            except SnapshotError as error:
                refused.append(str(error))
                continue
            self._detectors[detector.track] = detector
        for window in windows:
            for sums in window.panes:
                self._detector(window.track, sums.at // PANE_S).feed(sums)
        for detector in self._detectors.values():
            detector.advance(closed_until // PANE_S)
        self._panes.restore(closed_until)
        self._minute = closed_until
        self._read_until = dict(read_until)
        return refused

    def remember(self, events: Iterable[tuple[Reading, int, int]]) -> None:
        """Take events (with partition and offset) of closed windows again, oldest first.

        Each post once, as a pane would have it. They count in nothing. What is not in a window
        comes back: the last hour's posts, which alerts tell of and authors are capped by, and the
        last day's texts, if they are given.
        """
        for event, partition, offset in events:
            entry = self._panes.entry(event, partition, offset, event.created_at.timestamp())
            self._panes.remember([entry])
            for track in entry.tracks:
                self._recall(track, [entry])
                self._reposts.remember(track, entry)

    def _take(self, pane: ClosedPane, closed: Closed) -> None:
        for partition, offset in pane.lowest.items():
            known = self._minute_offsets.get(partition, offset)
            self._minute_offsets[partition] = min(offset, known)
        for track, there in pane.tracks.items():
            detector = self._detector(track, pane.index)
            self._recall(track, there.entries)
            if self._on_pane is not None:
                self._on_pane(track, there.sums)
            transitions = detector.feed(there.sums)
            if transitions:
                self._raise(detector, transitions, closed)
            if self._windows:
                minute = self._minutes.get(track)
                if minute is None:
                    minute = self._minutes[track] = Minute(
                        track, pane.index // PANES_IN_WINDOW * WINDOW_S
                    )
                minute.add(there, self._reposts.count(track, there))

    def _pass_time(self, until_pane: int, closed: Closed) -> None:
        for detector in self._detectors.values():
            if detector.alert_state in {"pending", "firing"}:
                transitions = detector.advance(until_pane)
                if transitions:
                    self._raise(detector, transitions, closed)

    def _release_silent(self, closed_until: int, closed: Closed) -> None:
        """Let automatic tracks that fell silent give their places to others."""
        silent = [
            track
            for track in self._matcher.automatic
            if (detector := self._detectors.get(track)) is not None
            and detector.alert_state is None
            and closed_until - detector.last_post >= _SILENT_S
        ]
        if silent:
            waiting = self._panes.tracks()
            for track in silent:
                if track not in waiting:
                    del self._detectors[track]
                    self._recalls.pop(track, None)
                    self._matcher.release(track)
                    closed.released.append(track)

    def _close_minute(self, pane: int, closed: Closed) -> None:
        """Close the window before the one that this pane belongs to."""
        minute = pane // PANES_IN_WINDOW * WINDOW_S
        if self._minute is not None and minute > self._minute:
            self._add_late(minute)
            closed.windows.extend(self._window(track) for track in sorted(self._minutes))
            self._minutes.clear()
            self._minute_offsets.clear()
        self._minute = minute if self._minute is None else max(self._minute, minute)

    def _window(self, track: str) -> Window:
        minute, detector = self._minutes[track], self._detectors.get(track)
        expected = None if detector is None else detector.minute_band(minute.start, minute.scored)
        return minute.close(late=self._late_in_minute.get(track, 0), expected=expected)

    def _add_late(self, until: int) -> None:
        """Gather the late events of the windows before `until`; they have a window, if empty."""
        self._late_in_minute = {}
        for start in [start for start in self._late if start < until]:
            for track, number in self._late.pop(start).items():
                known = self._late_in_minute.get(track, 0)
                self._late_in_minute[track] = known + number
                if self._windows and track not in self._minutes:
                    self._minutes[track] = Minute(track, until - WINDOW_S)

    def _detector(self, track: str, pane: int) -> TrackDetector:
        detector = self._detectors.get(track)
        if detector is None:
            detector = self._detectors[track] = TrackDetector(track, pane, self._settings)
        return detector

    def _recall(self, track: str, entries: list[Entry]) -> None:
        recall = self._recalls.get(track)
        if recall is None:
            recall = self._recalls[track] = Recall()
        recall.add(entries, tracks=len(self._recalls))
        event = entries[-1].event
        self._has_authors = self._has_authors or event.author is not None
        self._has_texts = self._texts and (self._has_texts or event.text is not None)

    def _raise(
        self, detector: TrackDetector, transitions: list[Transition], closed: Closed
    ) -> None:
        if not self.raising:
            return
        recall = self._recalls.setdefault(detector.track, Recall())
        closed.alerts.extend(
            make_alert(
                transition,
                detector,
                recall,
                has_authors=self._has_authors,
                has_texts=self._has_texts,
            )
            for transition in transitions
        )
