"""A source with made-up figures: 24 hours of tracks, a storm, and whatever a test brings about.

The same seed gives the same day. Time only moves when `advance` is called.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from math import pi, sin, sqrt
from random import Random

from monitor.mutes import in_force
from monitor.page.data import (
    Action,
    AlertChanged,
    AlertView,
    Band,
    Change,
    Columns,
    Expected,
    Minute,
    MinuteClosed,
    MutesChanged,
    MuteTrack,
    MuteView,
    NotFoundError,
    Pipe,
    PipeChanged,
    Posts,
    PostsDeleted,
    Say,
    TracksChanged,
    TrackState,
    UnmuteTrack,
)
from monitor.page.history import History
from schemas.alert import AlertAction, Mute
from schemas.event import EMOTIONS
from schemas.window import Window
from tests.monitor.page.stories import alert_of, past_alerts
from tests.monitor.page.texts import event, valence_of

END = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
TRACKS = (
    "kestrel air",
    "harbour rail",
    "#checkout",
    "battery life",
    "new release",
    "customer service",
    "energy prices",
    "city council",
    "night bus",
    "app update",
    "delivery",
    "refunds",
    "privacy",
    "stadium",
    "river festival",
    "school lunch",
    "weather app",
    "bike lanes",
    "地震",
    "library",
)
STORM = TRACKS[0]
_TILT = {"anger": 0.5, "disgust": 0.42, "sadness": 0.25, "fear": 0.18, "pessimism": 0.2}
_BRIGHT = {"joy": 0.45, "optimism": 0.3, "love": 0.14, "trust": 0.1, "surprise": 0.08}


class MadeUp:
    """`monitor.page.data.PageData`, in memory."""

    def __init__(
        self,
        *,
        tracks: int = 20,
        hours: int = 24,
        end: datetime = END,
        storm_minutes: int = 22,
        more: tuple[str, ...] = (),
    ) -> None:
        self.names = (*TRACKS[:tracks], *more)
        self.end = end
        self.actions: list[Action] = []
        self.hostile = False
        self.fail: Exception | None = None
        """Raised by whatever is asked next, until it is None again."""
        self.gate: asyncio.Event | None = None
        """What look-ups wait for."""
        self.cancelled = asyncio.Event()
        """Set when a look-up that waited was cancelled."""
        self.acted = asyncio.Event()
        """Set when an action was written."""
        self._at_gate = asyncio.Condition()
        self._waiting = 0
        self._history = History()
        self._changes: asyncio.Queue[Change | None] = asyncio.Queue()
        self._mutes: dict[str, Mute] = {}
        self._deleted: set[str] = set()
        self._minutes: dict[tuple[str, datetime], Window] = {}
        self._since = end - timedelta(minutes=storm_minutes) if storm_minutes else None
        self._until: datetime | None = None
        self._alerts: dict[str, AlertView] = {
            view.alert.alert_id: view for view in past_alerts(end) if view.alert.track in self.names
        }
        for back in range(hours * 60, 0, -1):
            self._close(end - timedelta(minutes=back))
        if self._since is not None:
            self._storm_alert(quiet=True)

    # ---- what a test brings about

    def advance(self, minutes: int = 1) -> None:
        """Close the next minutes of all tracks."""
        for _ in range(minutes):
            for minute in self._close(self.end):
                self._changes.put_nowait(MinuteClosed(minute=minute))
            self.end += timedelta(minutes=1)
            self._changes.put_nowait(TracksChanged(tracks=tuple(self.tracks())))
            self._changes.put_nowait(PipeChanged(pipe=self.pipe()))

    def break_out(self) -> None:
        """A storm begins with the next minute."""
        self._since, self._until = self.end, None

    def fire(self) -> AlertView:
        """The storm's alert fires."""
        return self._storm_alert(quiet=False)

    def calm_down(self) -> None:
        """The storm ends with the next minute, and its alert resolves."""
        assert self._since is not None
        self._until = self.end
        view = alert_of(STORM, self._since, self.end, "resolved")
        self._put(AlertView(alert=view.alert, transitions=view.transitions), quiet=False)

    def delete(self, *events: str) -> None:
        """Tombstones."""
        self._deleted.update(events)
        self._changes.put_nowait(self.deleted(*events))

    def deleted(self, *events: str) -> PostsDeleted:
        """What is published about tombstones."""
        return PostsDeleted(events=events)

    def push(self, change: Change) -> None:
        """A change as it is."""
        self._changes.put_nowait(change)

    def stop(self) -> None:
        """The changes end."""
        self._changes.put_nowait(None)

    # ---- the protocol

    def tracks(self) -> Sequence[TrackState]:
        return [self._state(name) for name in self.names]

    def windows(self, track: str, start: datetime, end: datetime) -> Columns:
        return self._history.columns(track, start, end)

    def alerts(self) -> Sequence[AlertView]:
        active = {"pending", "firing", "stale"}
        return sorted(
            self._alerts.values(),
            key=lambda one: (one.alert.transition in active, one.alert.started_at),
            reverse=True,
        )

    def mutes(self) -> Sequence[MuteView]:
        now = self.end + timedelta(seconds=34)
        return [MuteView(mute=mute, in_force=in_force(mute, now)) for mute in self._mutes.values()]

    def pipe(self) -> Pipe:
        return Pipe(
            at=self.end + timedelta(seconds=34),
            watermark=self.end,
            posts_lag=184,
            events_lag=12,
            events_per_s=4.1,
            dead_letters=2,
            unanswered_share=0.0031,
            untested_lang_share=0.128,
            models={"lzw1008/Emollama-chat-7b@made-up": 1.0},
            late=3,
        )

    async def posts(
        self, track: str, start: datetime, end: datetime, *, limit: int, negative: bool
    ) -> Posts:
        await self._wait()
        if track not in self.names:
            raise NotFoundError(f"no track {track!r}")
        found = []
        at = start.replace(second=0)
        while at < end:
            window = self._minutes.get((track, at))
            if window is not None:
                share = window.negative / max(1, window.posts)
                found += [
                    event(track, at, index, share, hostile=self.hostile)
                    for index in range(window.posts)
                ]
            at += timedelta(minutes=1)
        kept = [
            one
            for one in found
            if one.id not in self._deleted and (not negative or valence_of(one) < 0.43)
        ]
        kept.sort(key=lambda one: one.created_at)
        return Posts(events=tuple(kept[:limit]), total=len(kept))

    async def examples(self, alert_id: str) -> Posts:
        view = self._alerts.get(alert_id)
        if view is None:
            raise NotFoundError("no such alert")
        alert = view.alert
        start = alert.started_at
        found = await self.posts(
            alert.track, start, start + timedelta(minutes=10), limit=5, negative=True
        )
        return Posts(events=found.events, total=len(found.events))

    async def act(self, action: Action) -> None:
        await self._wait()
        self.actions.append(action)
        self.acted.set()
        at = self.end + timedelta(seconds=34)
        match action:
            case Say():
                view = self._alerts.get(action.alert_id)
                if view is None:
                    raise NotFoundError("no such alert")
                done = AlertAction(
                    version=1,
                    id=f"say-{len(self.actions)}",
                    alert_id=action.alert_id,
                    action=action.action,
                    by=action.by,
                    at=at,
                    note=action.note,
                )
                self._put(
                    AlertView(
                        alert=view.alert,
                        transitions=view.transitions,
                        actions=(*view.actions, done),
                    ),
                    quiet=False,
                )
            case MuteTrack():
                self._mutes[action.track] = Mute(
                    version=1,
                    id=f"mute-{len(self.actions)}",
                    track=action.track,
                    by=action.by,
                    at=at,
                    until=action.until,
                    weekly=action.weekly,
                    zone=action.zone,
                    note=action.note,
                )
                self._changes.put_nowait(MutesChanged(mutes=tuple(self.mutes())))
            case UnmuteTrack():
                self._mutes.pop(action.track, None)
                self._changes.put_nowait(MutesChanged(mutes=tuple(self.mutes())))

    async def changes(self) -> AsyncGenerator[Change, None]:
        while (change := await self._changes.get()) is not None:
            yield change

    # ---- figures

    async def asked(self, times: int) -> None:
        """Wait until this many look-ups and actions wait at the gate."""
        async with self._at_gate:
            await self._at_gate.wait_for(lambda: self._waiting >= times)

    async def _wait(self) -> None:
        if self.gate is not None:
            async with self._at_gate:
                self._waiting += 1
                self._at_gate.notify_all()
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        if self.fail is not None:
            raise self.fail

    def _put(self, view: AlertView, *, quiet: bool) -> AlertView:
        self._alerts[view.alert.alert_id] = view
        if not quiet:
            self._changes.put_nowait(AlertChanged(alert=view))
        return view

    def _storm_alert(self, *, quiet: bool) -> AlertView:
        assert self._since is not None
        return self._put(alert_of(STORM, self._since, self.end, "firing"), quiet=quiet)

    def _stormy(self, track: str, at: datetime) -> bool:
        for view in self._alerts.values():
            alert = view.alert
            past = alert.track == track and alert.transition == "resolved" and alert.kind == "spike"
            if past and alert.started_at <= at < alert.at - timedelta(minutes=8):
                return True
        if track != STORM or self._since is None or at < self._since:
            return False
        return self._until is None or at < self._until

    def _close(self, at: datetime) -> list[Minute]:
        found = []
        for number, track in enumerate(self.names):
            minute = _minute(track, number, at, stormy=self._stormy(track, at))
            self._history.add(minute)
            self._minutes[track, at] = minute.window
            found.append(minute)
        return found

    def _state(self, track: str) -> TrackState:
        minutes = 10
        columns = self.windows(track, self.end - timedelta(minutes=minutes), self.end)
        posts = sum(columns.posts)
        active = [
            one.alert
            for one in self._alerts.values()
            if one.alert.track == track and one.alert.transition in {"pending", "firing", "stale"}
        ]
        narrow = sqrt(minutes)
        bands: dict[str, Band] = {}
        for measure in ("negative_share", "valence", "posts"):
            middle, low, high = (column[-1] for column in columns.bands[measure])
            assert middle is not None
            assert low is not None
            assert high is not None
            bands[measure] = Band(
                expected=middle,
                low=max(0, middle - (middle - low) / narrow),
                high=middle + (high - middle) / narrow,
            )
        return TrackState(
            track=track,
            condition=active[0].transition if active else "calm",
            severity=active[0].severity if active else None,
            at=self.end,
            minutes=minutes,
            posts=posts,
            authors=int(posts * 0.93),
            valence=_weighted(columns.valence, columns.posts),
            negative_share=_weighted(columns.negative_share, columns.posts),
            expected=Expected(**bands),
        )


def _weighted(figures: Sequence[float | None], posts: Sequence[int]) -> float | None:
    known = [(f, n) for f, n in zip(figures, posts, strict=True) if f is not None]
    total = sum(n for _, n in known)
    return round(sum(f * n for f, n in known) / total, 4) if total else None


def _minute(track: str, number: int, at: datetime, *, stormy: bool) -> Minute:
    """One minute: daily rhythm, slow drift, sampling noise, and the storm on top."""
    draw = Random(number << 32 | int(at.timestamp()) // 60)  # the same minute, the same figures
    hour = at.hour + at.minute / 60
    day = 0.65 + 0.35 * sin((hour - 9) / 24 * 2 * pi)
    rate = (15, 11, 8, 7, 6, 5, 5, 4, 4, 3)[number % 10] * day * 1.3
    calm = 0.2 + 0.015 * (number % 7) + 0.03 * sin(hour / 24 * 2 * pi + number)
    share = min(0.9, calm + (0.33 if stormy else 0))
    expected_posts, rate = rate, rate * (1.7 if stormy else 1)
    posts = max(0, round(draw.gauss(rate, sqrt(rate) * 1.1)))
    spread = 1.96 * sqrt(calm * (1 - calm) / max(expected_posts, 1) * 1.15)
    expected = Expected(
        negative_share=Band(expected=calm, low=max(0, calm - spread), high=min(1, calm + spread)),
        valence=Band(
            expected=0.66 - 0.4 * calm,
            low=0.66 - 0.4 * calm - spread * 0.45,
            high=0.66 - 0.4 * calm + spread * 0.45,
        ),
        posts=Band(
            expected=expected_posts,
            low=max(0, expected_posts - 2.2 * sqrt(expected_posts)),
            high=expected_posts + 2.2 * sqrt(expected_posts),
        ),
    )
    if not posts:
        window = Window(version=1, track=track, start=at, end=at + timedelta(minutes=1), posts=0)
        return Minute(window=window, expected=expected)
    negative = sum(draw.random() < share for _ in range(posts))
    seen = negative / posts
    emotions = dict.fromkeys(EMOTIONS, 0.04)
    for shares, weight in ((_TILT, seen), (_BRIGHT, 1 - seen)):
        noisy = weight * draw.uniform(0.75, 1.25)
        for emotion, part in shares.items():
            emotions[emotion] = min(1, emotions[emotion] + part * noisy)
    window = Window(
        version=1,
        track=track,
        start=at,
        end=at + timedelta(minutes=1),
        posts=posts,
        scored=posts,
        negative=negative,
        negative_share=seen,
        valence_mean=round(0.66 - 0.4 * seen + draw.gauss(0, 0.02), 4),
        emotions=emotions,
        authors=max(1, round(posts * 0.94)),
    )
    return Minute(window=window, expected=expected)
