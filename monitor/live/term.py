"""One term as the active monitor: from what the topics say, to the end of the lease."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from monitor.events import Reading
from monitor.live.alerts import Raising
from monitor.live.board import Board
from monitor.live.gauges import TrackGauges
from monitor.live.intake import Arrived, Intake
from monitor.live.journal import Journal
from monitor.live.lacking import Lacking
from monitor.live.places import Tombstones
from monitor.settings import Settings
from monitor.telemetry import log_events
from monitor.telemetry import metrics as m
from monitor.tracks import TrackMatcher
from monitor.watch import Watch
from monitor.windows import Fate
from runtime.clock import Clock
from runtime.telemetry.metric import Counts
from schemas.alert import Alert
from schemas.window import Window

_log = structlog.get_logger("monitor")

_TAKE_S = 0.25
"""Longest wait for events: how late a window may close after its watermark."""
_WRITE_EVERY_S = 0.25
_WRITE_AT = 500
"""Windows of one transaction, or so: while catching up they come by the thousand."""
_SNAPSHOT_S = 3_600.0
_COMMIT_S = 60.0
"""Longest time between commits while events come and no window closes."""


class Term:
    """Feeds events to the `Watch` and writes what it says, with the offsets to begin from again."""

    def __init__(
        self,
        settings: Settings,
        *,
        watch: Watch,
        matcher: TrackMatcher,
        gauges: TrackGauges,
        intake: Intake,
        journal: Journal,
        board: Board,
        tombstones: Tombstones,
        counts: Counts,
        clock: Clock,
        beat: Callable[[], None],
        quiet_since: Callable[[], float | None],
    ) -> None:
        """`quiet_since` tells since when (monotonic) the consumer has had nothing to read."""
        self._settings = settings.monitor
        self._watch = watch
        self._matcher = matcher
        self._gauges = gauges
        self._intake = intake
        self._journal = journal
        self._board = board
        self._tombstones = tombstones
        self._counts = counts
        self._clock = clock
        self._beat = beat
        self._quiet_since = quiet_since
        after = None if self._settings.history == "alert" else self._settings.history_after_s
        self._raising = Raising(board.alerts_kept, history_after_s=after)
        self._raising.hold(watch.open_alerts())
        self._windows: list[Window] = []
        self._alerts: list[Alert] = []
        self._fed: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._written_at = self._snapshot_at = self._committed_at = clock.monotonic()
        self._heard_at = clock.monotonic()
        """When the last event came."""
        self._arrived = float("-inf")
        """The newest record's time, as the watermark has it."""
        self._stood_s = 0.0
        """For how long records have come and that time has not moved."""
        self._caught_up = False
        self._framed_told = False
        self._gone: list[str] = []
        """Tracks whose baselines are to be deleted."""
        self._snapshot_of: set[str] = set()
        """Tracks of which this term has written a baseline."""
        self._blank: list[str] = []
        """Tracks that were warmed and had no posts."""
        self._lacking = Lacking(texts=settings.output.include_text)
        self.events = 0
        """Records read."""
        self.unanswered = 0
        self.by_lang: dict[str | None, int] = {}
        self.by_model: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until `stop`; then write what is closed, and a last snapshot.

        Raises:
            Fenced: another monitor has become active.
            KafkaFault: it can't go on from here.
        """
        while not stop.is_set():
            taken = await self._intake.take(timeout_s=_TAKE_S)
            self._beat()
            for one in taken:
                self._feed(one)
            if taken:
                self._hear()
            self._advance()
            await self._write_if_due(idle=not taken)
        await self._write(snapshots=True)

    def leave(self, tracks: Sequence[str], ends: Sequence[Alert]) -> None:
        """Delete the baselines of tracks that are watched no longer; write their alerts' ends."""
        self._gone += tracks
        self._alerts += self._raising.choose(list(ends), self._clock.wall())

    def adopt(self, tracks: Sequence[str], windows: Sequence[Window]) -> None:
        """Write what tracks that were warmed from the past have brought, and a snapshot."""
        if tracks:
            self._windows += windows
            self._blank = [track for track in tracks if track not in self._watch.detectors]
            self._snapshot_at = self._clock.monotonic() - _SNAPSHOT_S

    def _feed(self, one: Arrived) -> None:
        self.events += 1
        self._fed[one.partition] = one.offset + 1
        if one.event is None:
            self._counts.add(m.EVENTS, "tombstone" if one.tombstone else "unreadable")
            if one.framed and not self._framed_told:
                self._framed_told = True
                _log.error(log_events.VALUES_FRAMED, partition=one.partition, offset=one.offset)
            if one.tombstone and one.key is not None:
                self._board.deleted(self._tombstones.bury(one.partition, one.offset, one.key))
            return
        self.unanswered += one.unanswered
        event = one.event
        fate = self._watch.feed(event, one.partition, one.offset, one.at)
        self._counts.add(m.EVENTS, fate.value)
        self._lacking.see(event)
        if fate is not Fate.DUPLICATE:
            _tally(self.by_lang, event.lang)
            _tally(self.by_model, _model(event))

    def _advance(self) -> None:
        idle = self._intake.idle()
        for partition in idle:
            self._watch.watermark.idle(partition)
        silent_s = self._clock.monotonic() - self._heard_at
        all_idle = self._intake.positions().keys() <= set(idle)
        closed = self._watch.advance(
            at_least=self._nothing_missing_before(all_idle=all_idle),
            quiet_s=self._quiet_s(silent_s if all_idle else 0.0),
        )
        self._windows += closed.windows
        if closed.released:
            self._gone += closed.released
            _log.info(log_events.TRACKS_RELEASED, tracks=len(closed.released))
        wall = self._clock.wall()
        self._alerts += self._raising.choose(closed.alerts, wall)
        self._alerts += self._raising.present(wall, self._watch.watermark.value)
        # While the consumer is away event time waits for it, and this clock doesn't.
        stopped = self._watch.data_stopped(silent_s)
        if stopped:
            self._alerts += self._raising.choose(stopped, wall)
            # Windows don't tell of it: whoever takes over knows it from the baselines.
            self._snapshot_at = self._clock.monotonic() - _SNAPSHOT_S

    def _hear(self) -> None:
        now, arrived = self._clock.monotonic(), self._watch.watermark.arrived
        if arrived == self._arrived:
            self._stood_s += min(now - self._heard_at, _STOOD_S)
        else:
            self._stood_s = 0.0
        self._arrived, self._heard_at = arrived, now

    def _quiet_s(self, silent_s: float) -> float:
        """How much later it is than the newest record says, for all that is known.

        While posts wait for the consumer, or its lag isn't known, what it had under way comes when
        it is back: that is waited for as long as alerts are before they become stale.
        """
        if self._quiet_since() is None:
            silent_s = max(0.0, silent_s - self._settings.silence_s)
        return self._stood_s + silent_s

    def _nothing_missing_before(self, *, all_idle: bool) -> float:
        """Event time up to which no post can come any more, though none says so.

        Time may pass without posts only where the consumer has none left, all partitions are read,
        and event time is the present's: never while history is replayed, or the consumer is away.
        """
        since, wall = self._quiet_since(), self._clock.wall()
        quiet = since is not None and self._clock.monotonic() - since >= _QUIET_S
        present = wall - self._watch.watermark.value < _PRESENT_S
        if quiet and present and all_idle:
            return wall - _SLACK_S
        return float("-inf")

    async def _write_if_due(self, *, idle: bool) -> None:
        now = self._clock.monotonic()
        pending = len(self._windows) + len(self._alerts) + len(self._gone)
        snapshots = now - self._snapshot_at >= _SNAPSHOT_S
        if idle and not self._caught_up and not any(self._intake.lag().values()):
            self._caught_up = snapshots = True
            _log.info(log_events.CAUGHT_UP, events=self.events)
        due = pending and (idle or now - self._written_at >= _WRITE_EVERY_S)
        behind = now - self._committed_at >= _COMMIT_S and self._safe_offsets() != self._committed
        if snapshots or due or behind or pending >= _WRITE_AT:
            await self._write(snapshots=snapshots)

    async def _write(self, *, snapshots: bool) -> None:
        windows, self._windows = self._windows, []
        alerts, self._alerts = self._alerts, []
        offsets = self._safe_offsets()
        closed_until = self._watch.closed_until
        # What came again in the meantime has a new baseline.
        gone = [
            track
            for track in self._gone
            if track not in self._watch.detectors and track not in self._blank
        ]
        self._gone = []
        baselines = []
        now = self._clock.monotonic()
        if snapshots and closed_until is not None:
            wall = self._clock.wall()
            baselines = [
                self._journal.baseline(track, state, closed_until=closed_until, at=wall)
                for track, state in self._watch.snapshots().items()
            ]
            baselines += [
                self._journal.baseline(track, b"", closed_until=closed_until, at=wall)
                for track in self._blank
            ]
            self._blank = []
            self._snapshot_at = now
            self._snapshot_of = set(self._watch.detectors)
        elif closed_until is not None:
            # A track's first window comes with its baseline, which says what made it a track. So
            # does an alert: its minute may still run, and no window tells who takes over of it.
            wall = self._clock.wall()
            first = {window.track for window in windows} - self._snapshot_of
            for track in first | {alert.track for alert in alerts}:
                detector = self._watch.detectors.get(track)
                if detector is not None:
                    self._snapshot_of.add(track)
                    baselines.append(
                        self._journal.baseline(
                            track, detector.snapshot(), closed_until=closed_until, at=wall
                        )
                    )
        await self._journal.write(
            windows, alerts, offsets, baselines, closed_until=closed_until, gone=gone
        )
        self._written_at = self._committed_at = now
        self._committed = offsets
        self._counts.add(m.WINDOWS, by=len(windows))
        if windows:
            _log.debug(log_events.WINDOWS_WRITTEN, windows=len(windows))
        for alert in alerts:
            self._counts.add(m.ALERTS, alert.transition)
            _log.info(
                log_events.ALERT_WRITTEN,
                alert=alert.alert_id,
                track=alert.track,
                transition=alert.transition,
                measure=alert.measure,
                severity=alert.severity,
                observed=alert.observed,
                expected=alert.expected,
                posts=alert.posts,
            )
        self._board.closed(windows)
        for track in gone:
            self._board.forget(track)
        self._gauges.put()

    def _safe_offsets(self) -> dict[int, int]:
        """What no open window needs any more, past what is no event and past markers."""
        safe = self._watch.safe_offsets()
        offsets = {}
        for partition, position in self._intake.positions().items():
            lowest = safe.get(partition, position)
            # The watch knows events only: where none is open, all that was read is done.
            done = lowest >= self._fed.get(partition, position) or partition not in safe
            offsets[partition] = position if done else lowest
        return offsets

    @property
    def lag(self) -> dict[int, int]:
        """Offsets not read yet, by partition."""
        return self._intake.lag()

    @property
    def watermark(self) -> float:
        """Event time up to which windows may close, Unix seconds; minus infinity at first."""
        return self._watch.watermark.value

    @property
    def late(self) -> int:
        """Events that came after their window had closed."""
        return self._watch.fates[Fate.LATE]


_STOOD_S = 1.0
"""Counted of the time between two records at most: it may have been silence, or an outage."""
_QUIET_S = 60.0
"""The consumer has nothing to read for this long, before time passes without posts."""
_PRESENT_S = 2 * 3600.0
_SLACK_S = 120.0
"""How long posts take from their authors to Kafka, at most: later ones count as late."""
_MOST_VALUES = 100


def _tally(counts: dict[str | None, int] | dict[str, int], value: str | None) -> None:
    known: dict[str | None, int] = counts  # type: ignore[assignment]
    if value in known or len(known) < _MOST_VALUES:
        known[value] = known.get(value, 0) + 1


def _model(event: Reading) -> str:
    revision = event.model.revision
    return event.model.id if revision is None else f"{event.model.id}@{revision}"
