"""The picture of now, in memory: what the page shows, and gauges are made of (`page.source`)."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from msgspec import UnsetType

from monitor.detection import TrackDetector
from monitor.live.alerts import Alerts
from monitor.live.bands import UsualPosts, expected_of, judged
from monitor.live.lookup import Lookup
from monitor.live.places import Places
from monitor.mutes import in_force, is_over
from monitor.page.data import (
    Action,
    AlertChanged,
    AlertView,
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
    TrackCondition,
    TracksChanged,
    TrackState,
    UnavailableError,
    UnmuteTrack,
)
from monitor.page.history import History
from monitor.saying import Write, action_record, alert_action, mute_of, mute_record
from monitor.settings import Settings
from runtime.kafka.errors import KafkaFault
from runtime.registry.values import JSON_VALUES, ValueWriter
from schemas.alert import Alert, AlertAction, Mute
from schemas.window import Window

NOW_MINUTES: Literal[10] = 10
"""What a track's figures of now are taken over."""


class Board:
    """`monitor.page.data.PageData` on the live service."""

    def __init__(
        self,
        settings: Settings,
        *,
        places: Places,
        lookup: Lookup,
        write: Write,
        wall: Callable[[], float],
        configured: Sequence[str],
        values: ValueWriter = JSON_VALUES,
    ) -> None:
        """`configured` are the tracks that the configuration names, in its order."""
        self._settings = settings
        self._places = places
        self._lookup = lookup
        self._write = write
        self._values = values
        self._wall = wall
        self._order = {name: at for at, name in enumerate(configured)}
        self._history = History()
        self._usual_posts: dict[str, UsualPosts] = {}
        self._recent: dict[str, deque[Window]] = {}
        self._posts: dict[str, int] = {}
        """Posts by track since the start, for the order of those that nobody named."""
        self._mutes: dict[str, Mute] = {}
        self._pipe = Pipe(at=datetime.fromtimestamp(wall(), UTC))
        self._changes: asyncio.Queue[Change] | None = None
        self._told_mutes: Sequence[MuteView] = ()
        self._told_posts: set[str] = set()
        """Tracks that were last told with posts."""
        self.alerts_kept = Alerts()
        self.detectors: Mapping[str, TrackDetector] = {}
        """The live detectors by track."""
        self.newest: datetime | None = None
        """End of the newest closed window."""

    # ---- what the service tells

    def restore_window(self, window: Window) -> None:
        """Take a window of the last 24 hours, at the start."""
        self._keep(window)

    def closed(self, windows: Sequence[Window]) -> None:
        """Take windows that were closed and written."""
        for window in windows:
            self._tell(MinuteClosed(minute=self._keep(window)))
        if windows:
            # Those without a window, too, until they are told with no posts any more.
            changed = self._told_posts | {window.track for window in windows}
            states = tuple(one for one in self.tracks() if one.track in changed)
            self._told_posts = {one.track for one in states if one.posts}
            self._tell(TracksChanged(tracks=states))

    def forget(self, track: str) -> None:
        """Drop a track that is watched no longer; its alerts are kept."""
        self._history.forget(track)
        for kept in (self._usual_posts, self._recent, self._posts):
            kept.pop(track, None)
        self._tell(TracksChanged(gone=(track,)))

    def alert_record(self, record: Alert | AlertAction) -> None:
        """Take what was read from the alerts' topic."""
        view = self.alerts_kept.take(record)
        if view is None:
            return
        self._tell(AlertChanged(alert=view))
        if isinstance(record, Alert) and self._has(record.track):
            self._tell(TracksChanged(tracks=(self._state(record.track),)))

    def mute_record(self, track: str, mute: Mute | None) -> None:
        """Take what was read from the mutes' topic; None takes a mute away."""
        if mute is None:
            self._mutes.pop(track, None)
        else:
            self._mutes[track] = mute
        self._tell_mutes()

    def pipe_is(self, pipe: Pipe) -> None:
        """Take how the pipe is doing."""
        self._pipe = pipe
        self._tell(PipeChanged(pipe=pipe))
        self._tell_mutes()  # one may have begun or ended

    def deleted(self, events: Sequence[str]) -> None:
        """Take the ids of events that were shown and are deleted now."""
        if events:
            self._tell(PostsDeleted(events=tuple(events)))

    @property
    def open_alerts(self) -> int:
        """Alerts that are pending, firing or stale."""
        return len(self.alerts_kept.open())

    def muted(self, track: str, at: datetime | None = None) -> bool:
        """Whether nobody is to be notified of this track, now or at that time (wall clock)."""
        mute = self._mutes.get(track)
        return mute is not None and in_force(mute, at or self._now())

    def muted_since(self, track: str, at: datetime) -> bool:
        """Whether the track's mute had been spoken by then, and was in force."""
        mute = self._mutes.get(track)
        return mute is not None and mute.at <= at and in_force(mute, at)

    # ---- what the page asks (`PageData`)

    def tracks(self) -> Sequence[TrackState]:
        """Every track: those of the configuration first, then by posts."""
        names = self._order | dict.fromkeys(self._recent)
        ranked = sorted(
            names,
            key=lambda name: (self._order.get(name, len(names)), -self._posts.get(name, 0), name),
        )
        return [self._state(name) for name in ranked]

    def windows(self, track: str, start: datetime, end: datetime) -> Columns:
        """The closed minutes of a track."""
        if track in self._order and track not in self._recent:
            return _nothing(track, start)
        return self._history.columns(track, start, end)

    def alerts(self) -> Sequence[AlertView]:
        """Active ones first, then the newest past ones."""
        return self.alerts_kept.shown()

    def mutes(self) -> Sequence[MuteView]:
        """Mutes that are in force or still to come."""
        now = self._now()
        return [
            MuteView(mute=mute, in_force=in_force(mute, now))
            for mute in self._mutes.values()
            if not is_over(mute, now)
        ]

    def pipe(self) -> Pipe:
        """How the pipe is doing."""
        return self._pipe

    async def posts(
        self, track: str, start: datetime, end: datetime, *, limit: int, negative: bool
    ) -> Posts:
        """The track's posts of this time."""
        if not self._has(track):
            raise NotFoundError(f"no track {track!r}")
        return await self._lookup.posts(track, start, end, limit=limit, negative=negative)

    async def examples(self, alert_id: str) -> Posts:
        """The example posts of an alert."""
        view = self.alerts_kept.get(alert_id)
        if view is None:
            raise NotFoundError("no such alert")
        alert = view.alert
        if not alert.examples:
            return Posts(events=(), total=0, note="the alert names no examples")
        return await self._lookup.by_id(alert.examples, alert.started_at, alert.at)

    async def act(self, action: Action) -> None:
        """Write it to its topic."""
        names, now = self._settings.monitor, self._now()
        if isinstance(action, Say):
            if not self.alerts_kept.knows(action.alert_id):
                raise NotFoundError("no such alert")
            written = alert_action(
                action.alert_id, action.action, by=action.by, note=action.note, at=now
            )
            record = action_record(names.alerts_topic, written, self._values)
        else:
            if not self._has(action.track):
                raise NotFoundError(f"no track {action.track!r}")
            mute = _mute(action, now)
            record = mute_record(names.mutes_topic, action.track, mute, self._values)
        try:
            await self._write(record)
        except KafkaFault as error:
            raise UnavailableError(f"it could not be written: {error}") from error

    async def changes(self) -> AsyncGenerator[Change, None]:
        """All that changes from this call on."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        self._changes = queue
        while True:
            yield await queue.get()

    # ---- inside

    def _tell(self, change: Change) -> None:
        if self._changes is not None:
            self._changes.put_nowait(change)

    def _tell_mutes(self) -> None:
        mutes = self.mutes()
        if mutes != self._told_mutes:
            self._told_mutes = mutes
            self._tell(MutesChanged(mutes=tuple(mutes)))

    def _has(self, track: str) -> bool:
        return track in self._order or track in self._recent

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)

    def _keep(self, window: Window) -> Minute:
        track = window.track
        usual = self._usual_posts.setdefault(track, UsualPosts())
        detector = self.detectors.get(track)
        expected = window.expected
        minute = Minute(
            window=window,
            negative_share=judged([window]),
            expected=Expected()
            if isinstance(expected, UnsetType)
            else expected_of(expected, usual),
        )
        if detector is None or detector.alert_state not in {"firing", "stale"}:
            usual.add(window.posts)
        self._history.add(minute)
        self._places.add(window)
        recent = self._recent.setdefault(track, deque(maxlen=NOW_MINUTES))
        recent.append(window)
        self._posts[track] = self._posts.get(track, 0) + window.posts
        if self.newest is None or window.end > self.newest:
            self.newest = window.end
        return minute

    def _state(self, track: str) -> TrackState:
        recent = self._recent.get(track)
        open_ = self.alerts_kept.open_of(track)
        detector = self.detectors.get(track)
        condition: TrackCondition = "calm"
        if open_ is not None:
            condition = open_.transition
        elif detector is None or not detector.warm:
            condition = "warming"
        severity = open_.severity if open_ is not None else None
        if not recent or self.newest is None:
            return TrackState(track=track, condition=condition, severity=severity)
        start = self.newest.timestamp() - 60 * NOW_MINUTES
        windows = [window for window in recent if window.start.timestamp() >= start]
        scored = sum(window.scored for window in windows)
        expected = Expected()
        if detector is not None and scored:
            band = detector.minute_band(round(start), scored, minutes=NOW_MINUTES)
            if band is not None:
                expected = expected_of(band, self._usual_posts[track])
        return TrackState(
            track=track,
            condition=condition,
            severity=severity,
            at=self.newest,
            minutes=NOW_MINUTES,
            posts=sum(window.posts for window in windows),
            authors=_authors(windows),
            valence=_mean(windows, scored),
            negative_share=judged(windows),
            expected=expected,
        )


def _mute(action: MuteTrack | UnmuteTrack, now: datetime) -> Mute | None:
    if isinstance(action, UnmuteTrack):
        return None
    return mute_of(
        action.track,
        by=action.by,
        at=now,
        until=action.until,
        weekly=action.weekly,
        zone=action.zone,
        note=action.note,
    )


def _authors(windows: Sequence[Window]) -> int | None:
    """At least so many: the most of one minute, for the same people write in several."""
    known = [window.authors for window in windows if not isinstance(window.authors, UnsetType)]
    return max(known) if known else None


def _mean(windows: Sequence[Window], scored: int) -> float | None:
    if not scored:
        return None
    total = sum(
        window.valence_mean * window.scored
        for window in windows
        if not isinstance(window.valence_mean, UnsetType)
    )
    return total / scored


def _nothing(track: str, start: datetime) -> Columns:
    return Columns(
        track=track,
        start=int(start.timestamp()) // 60 * 60,
        posts=(),
        authors=(),
        valence=(),
        negative_share=(),
        emotions={},
        bands={},
    )
