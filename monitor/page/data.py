"""What the page is told, and what it asks for: the one protocol between it and the live service.

The service keeps the figures of 24 hours in memory, reads posts back from `affect.events`, and
writes what people say to its topics. The page knows nothing of Kafka.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Annotated, Literal, Protocol, TypeAlias

import msgspec
from msgspec import Meta

from schemas.alert import Alert, AlertAction, AlertState, Mute, Severity
from schemas.event import AffectEvent
from schemas.window import Window

TrackCondition: TypeAlias = Literal["calm", "warming"] | AlertState
"""Of a track: the state of its open alert; else calm, or warming while its baseline is learnt."""
Count: TypeAlias = Annotated[int, Meta(ge=0)]


class PageDataError(Exception):
    """What was asked for can't be had. The message is a sentence for the person at the page."""


class NotFoundError(PageDataError):
    """No such track, or no such alert."""


class UnavailableError(PageDataError):
    """Kafka doesn't answer, or there is too much to read: worth trying again later."""


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """What a track's past and its hour of day explain of one figure: about 19 minutes in 20."""

    expected: float
    low: float
    high: float


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """The bands of a window; None where the baseline isn't warm or doesn't know the figure."""

    negative_share: Band | None = None
    """Shares, 0 to 1."""
    valence: Band | None = None
    """0 to 1."""
    posts: Band | None = None
    """Posts a minute."""


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """One closed window of a track, and what was expected of it."""

    window: Window
    negative_share: float | None = None
    """As alerts measure it: the mean probability that a post is negative, authors and texts
    capped. None for the window's own."""
    expected: Expected = Expected()


class TrackState(msgspec.Struct, frozen=True, kw_only=True):
    """One track now: over the last `minutes` minutes of event time up to `at`."""

    track: str
    condition: TrackCondition
    severity: Severity | None = None
    """Of the open alert."""
    at: datetime | None = None
    """Event time that the figures reach to; None before the track's first post."""
    minutes: Count = 10
    posts: Count = 0
    authors: Count | None = None
    """Distinct authors; None where events carry none."""
    valence: float | None = None
    """Mean, 0 to 1; None without a scored post, like the next one."""
    negative_share: float | None = None
    """As alerts measure it: see `Minute`."""
    expected: Expected = Expected()
    """For the same minutes; `posts` still a minute."""


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """A track's minutes as columns of one length, oldest first; None where there is no figure.

    The column i is the minute that starts at `start + 60 * i` (Unix seconds, UTC). A minute without
    a window has 0 posts and None elsewhere.
    """

    track: str
    start: int
    posts: tuple[int, ...]
    authors: tuple[int | None, ...]
    valence: tuple[float | None, ...]
    negative_share: tuple[float | None, ...]
    emotions: dict[str, tuple[float | None, ...]]
    """Emotion to the share of posts that carry it, 0 to 1."""
    bands: dict[str, tuple[tuple[float | None, ...], ...]]
    """`negative_share`, `valence`, `posts` to the columns (expected, low, high)."""


class AlertView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An alert as it is now, how it came there, and what people did with it."""

    alert: Alert
    """Its newest transition."""
    transitions: tuple[tuple[AlertState, datetime], ...] = ()
    """Each state with the event time it began, oldest first."""
    actions: tuple[AlertAction, ...] = ()
    """Oldest first."""


class Pipe(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the pipe is doing. None where it isn't known."""

    at: datetime
    """Wall clock of these figures."""
    watermark: datetime | None = None
    """Event time up to which windows are closed."""
    posts_lag: Count | None = None
    """Posts that wait for the consumer: its group's lag on the input topics."""
    events_lag: Count | None = None
    """Events that the monitor hasn't read yet."""
    events_per_s: float | None = None
    """Over the last minute (wall clock)."""
    dead_letters: Count | None = None
    """Within the last hour (wall clock), like the next two."""
    unanswered_share: float | None = None
    """Share of the events in which a task has no value (an unreadable answer)."""
    untested_lang_share: float | None = None
    """Share of the posts in languages that the EmoLLMs weren't tested on, or without a language."""
    models: dict[str, float] = {}
    """Model (id, `@`, revision) to the share of posts that it read."""
    late: Count = 0
    """Events that came after their window had closed."""
    undelivered: Count = 0
    """Notifications that could not be delivered."""
    problems: tuple[str, ...] = ()
    """A sentence for each thing that is wrong and that someone must do something about."""


class Posts(msgspec.Struct, frozen=True, kw_only=True):
    """Posts behind a moment or an alert, oldest first, without those that a tombstone deleted."""

    events: tuple[AffectEvent, ...]
    total: Count
    """How many there are; more than `events` where the limit cut them."""
    note: str | None = None
    """A sentence where something is missing: texts aren't kept, events have expired, …"""


class TracksChanged(msgspec.Struct, frozen=True, kw_only=True, tag="tracks"):
    """These tracks' state now."""

    tracks: tuple[TrackState, ...] = ()
    gone: tuple[str, ...] = ()
    """Watched no longer; not in `PageData.tracks()` any more."""


class MinuteClosed(msgspec.Struct, frozen=True, kw_only=True, tag="minute"):
    """A window was closed, or written again: the page replaces the one with the same start."""

    minute: Minute


class AlertChanged(msgspec.Struct, frozen=True, kw_only=True, tag="alert"):
    """An alert made a transition, or someone acted on it."""

    alert: AlertView


class MuteView(msgspec.Struct, frozen=True, kw_only=True):
    """A mute, and whether it is in force now: a weekly one is at its hours only."""

    mute: Mute
    in_force: bool


class MutesChanged(msgspec.Struct, frozen=True, kw_only=True, tag="mutes"):
    """All mutes that are in force or still to come."""

    mutes: tuple[MuteView, ...]


class PipeChanged(msgspec.Struct, frozen=True, kw_only=True, tag="pipe"):
    """The pipe's health; every few seconds, also when nothing happens: it carries the time."""

    pipe: Pipe


class PostsDeleted(msgspec.Struct, frozen=True, kw_only=True, tag="deleted"):
    """Tombstones: whoever shows one of these posts takes it away."""

    events: tuple[str, ...]
    """Event ids."""


Change: TypeAlias = (
    TracksChanged | MinuteClosed | AlertChanged | MutesChanged | PipeChanged | PostsDeleted
)


class Say(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says of an alert."""

    alert_id: str
    action: Literal["ack", "note", "false"]
    by: str
    """Who: from the proxy's user header, else what the person typed, marked as unproven."""
    note: str | None = None


class MuteTrack(msgspec.Struct, frozen=True, kw_only=True):
    """Notify nobody of this track, until a time or weekly; the mute before it is replaced."""

    track: str
    by: str
    until: datetime | None = None
    weekly: str | None = None
    """As in `schemas.alert.Mute`."""
    zone: str | None = None
    note: str | None = None


class UnmuteTrack(msgspec.Struct, frozen=True, kw_only=True):
    """Notify of this track again."""

    track: str
    by: str


Action: TypeAlias = Say | MuteTrack | UnmuteTrack


class PageData(Protocol):
    """The live service, as the page sees it. All methods are called on one event loop.

    Those that aren't `async` answer from memory, at once. Nothing that they hand out is changed
    afterwards.
    """

    def tracks(self) -> Sequence[TrackState]:
        """Every track, in the order in which it is shown (config order, or most posts first)."""
        ...

    def windows(self, track: str, start: datetime, end: datetime) -> Columns:
        """The closed minutes of a track, `start` included, `end` not; 24 hours at most are kept.

        Raises:
            NotFoundError: no such track.
        """
        ...

    def alerts(self) -> Sequence[AlertView]:
        """Active ones first, then the newest past ones; 200 at most."""
        ...

    def mutes(self) -> Sequence[MuteView]:
        """Mutes that are in force or still to come."""
        ...

    def pipe(self) -> Pipe:
        """How the pipe is doing."""
        ...

    async def posts(
        self, track: str, start: datetime, end: datetime, *, limit: int, negative: bool
    ) -> Posts:
        """The track's posts of this event time, read from `affect.events`: the first `limit`.

        The page asks for one hour at most, for few people at once, and gives up after 10 s; then
        this is cancelled. `negative`: only posts with a valence below 0.43.

        Raises:
            NotFoundError: no such track.
            UnavailableError: they can't be read now.
        """
        ...

    async def examples(self, alert_id: str) -> Posts:
        """The example posts of an alert (`Alert.examples`), looked up within its time.

        Raises:
            NotFoundError: no such alert.
            UnavailableError: they can't be read now.
        """
        ...

    async def act(self, action: Action) -> None:
        """Write it to its topic; returns once the broker has acknowledged it.

        The page learns what came of it as a change, like everybody else.

        Raises:
            NotFoundError: no such track or alert.
            UnavailableError: it could not be written.
            ValueError: `weekly` or `zone` can't be read; the message says what would do.
        """
        ...

    def changes(self) -> AsyncGenerator[Change, None]:
        """All that changes from this call on, in order, until the generator is closed.

        Called once: the page shares each change among all its viewers. What is read from the
        methods above after a change shows that change already.
        """
        ...
