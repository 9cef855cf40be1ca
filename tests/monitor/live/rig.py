"""A term without Kafka: what the test hands over is read, and what it writes is kept."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from monitor.configured import make_matcher, make_watch
from monitor.events import reading_of
from monitor.live.board import Board
from monitor.live.gauges import TrackGauges
from monitor.live.intake import Arrived, Intake
from monitor.live.journal import Journal
from monitor.live.lookup import Lookup
from monitor.live.places import Places, Tombstones
from monitor.live.term import Term
from monitor.settings import Settings
from monitor.telemetry import metrics as m
from monitor.watch import Watch
from runtime.kafka.producing import Outgoing
from runtime.telemetry.metric import Counts
from schemas import AffectEvent
from schemas.alert import Alert
from schemas.baseline import Baseline
from schemas.window import Window


class Turned:
    """A clock that the test moves; its timers never ring."""

    def __init__(self, wall: float) -> None:
        self.now = wall

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def call_later(self, *_: object) -> Any:
        raise AssertionError


class FakeIntake:
    """Two partitions; everything handed over is there to be read, and nothing else is."""

    def __init__(self) -> None:
        self.next: list[Arrived] = []
        self.at = {0: 0, 1: 0}
        self.all_idle = False

    async def take(self, *, timeout_s: float) -> list[Arrived]:
        taken, self.next = self.next, []
        for one in taken:
            self.at[one.partition] = one.offset + 1
        return taken

    def idle(self) -> list[int]:
        return list(self.at) if self.all_idle else []

    def positions(self) -> dict[int, int]:
        return dict(self.at)

    def lag(self) -> dict[int, int]:
        return dict.fromkeys(self.at, 0)


class FakeJournal:
    """Keeps what was written, in order."""

    def __init__(self) -> None:
        self.windows: list[Window] = []
        self.alerts: list[Alert] = []
        self.baselines: dict[str, Baseline | None] = {}
        self.offsets: dict[int, int] = {}
        self.writes: list[tuple[set[str], set[str]]] = []
        """Of each write the tracks of its windows, and those of its baselines."""

    async def write(
        self,
        windows: Iterable[Window],
        alerts: Iterable[Alert],
        offsets: Mapping[int, int],
        baselines: Iterable[Baseline] = (),
        *,
        closed_until: int | None = None,
        gone: Iterable[str] = (),
    ) -> None:
        windows, baselines = list(windows), list(baselines)
        self.writes.append(({one.track for one in windows}, {one.track for one in baselines}))
        self.windows += windows
        self.alerts += alerts
        self.offsets = dict(offsets)
        self.baselines |= {one.track: one for one in baselines}
        self.baselines |= dict.fromkeys(gone)

    def baseline(self, track: str, state: bytes, *, closed_until: int, at: float) -> Baseline:
        return Baseline(
            version=1,
            track=track,
            at=datetime.fromtimestamp(at, UTC),
            closed_until=closed_until,
            windows={},
            state=state,
        )


class TermRig:
    """A term of a monitor with these settings, on a clock of its own."""

    def __init__(self, settings: Settings, wall: float, after: Watch | None = None) -> None:
        """`after` is the watch of a term before, whose windows and baselines were written."""
        self.clock = Turned(wall)
        self.intake, self.journal = FakeIntake(), FakeJournal()
        self.counts = Counts(m.ALL)
        self.matcher = make_matcher(settings)
        self.watch = make_watch(settings, self.matcher)
        if after is not None and after.closed_until is not None:
            states = after.snapshots().values()
            self.watch.restore(states, [], closed_until=after.closed_until, read_until={})
        for partition in self.intake.at:
            self.watch.watermark.assign(partition)
        self.quiet_since: float | None = None
        self.board = Board(
            settings,
            places=Places(),
            lookup=cast("Lookup", None),
            write=self._refuse,
            wall=self.clock.wall,
            configured=[track.name for track in settings.monitor.tracks],
        )
        self.board.detectors = self.watch.detectors
        self.gauges = TrackGauges(self.board, self.matcher, self.counts)
        self.term = Term(
            settings,
            watch=self.watch,
            matcher=self.matcher,
            gauges=self.gauges,
            intake=cast("Intake", self.intake),
            journal=cast("Journal", self.journal),
            board=self.board,
            tombstones=Tombstones(),
            counts=self.counts,
            clock=self.clock,
            beat=lambda: None,
            quiet_since=lambda: self.quiet_since,
        )
        self._told = 0

    async def read(self, *events: AffectEvent, arrived: float | None = None) -> None:
        """Let these events arrive, alternately on both partitions, and the term go round once."""
        for one in events:
            partition = len(self.intake.next) % 2
            offset = self.intake.at[partition] + len(self.intake.next) // 2
            at = one.created_at.timestamp() if arrived is None else arrived
            self.intake.next.append(
                Arrived(
                    partition=partition,
                    offset=offset,
                    at=at,
                    key=b"k",
                    event=reading_of(one),
                    tombstone=False,
                    unanswered=False,
                )
            )
        await self.round()

    async def round(self) -> None:
        """One round of the term, then all is written; the board reads the alerts back."""
        stop = asyncio.Event()
        take = self.intake.take

        async def last(*, timeout_s: float) -> list[Arrived]:
            stop.set()
            return await take(timeout_s=timeout_s)

        self.intake.take = last  # type: ignore[method-assign]
        await self.term.run(stop)
        self.intake.take = take  # type: ignore[method-assign]
        for alert in self.journal.alerts[self._told :]:
            self.board.alert_record(alert)
        self._told = len(self.journal.alerts)

    @property
    def transitions(self) -> list[str]:
        """The alerts' states, in the order in which they were written."""
        return [one.transition for one in self.journal.alerts]

    async def _refuse(self, _: Outgoing) -> None:
        raise AssertionError
