"""All that a track's detector knows: plain data, so that it goes to bytes and back."""

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from monitor.detection.baseline import Baseline, Forecast
from monitor.detection.instrument import Instrument
from monitor.detection.measures import MinuteSums, OtherMeasures, Rise
from monitor.detection.scan import LONGEST
from monitor.detection.transition import Transition
from monitor.windows.panes import PANE_S, PANES_IN_WINDOW
from schemas.alert import AlertState, Evidence, Measure

_KEPT_PANES = 2 * LONGEST
MOST_PANES = 2 * _KEPT_PANES
"""Panes of running sums from which on the older half is dropped."""
VERSION = 4
"""Of the snapshot: another version is refused and the track warms again."""


Counts: TypeAlias = tuple[float, int, float]
"""People with negative posts, posts before the caps, negative posts."""


class Open(msgspec.Struct):
    """The alert that is open."""

    started: int
    """Index of the pane in which the evidence begins."""
    pending_at: int
    """Unix seconds: end of the pane at which it became pending."""
    state: Literal["pending", "firing", "stale"]
    measure: Measure
    observed: float
    expected: float
    score: float
    rise: float = 0.0
    """Soft share above the usual one, when it fired."""
    fired_at: float | None = None
    """Watermark, Unix seconds."""
    calm: float = 0.0
    """Evidence (nats) that the mood is back to usual."""
    speaks: bool = True
    """Whether the measure that it is about still spoke for a rise when it was last judged; of
    measures other than the share negative, whose calm has evidence of its own."""
    posts: int = 0
    negative: float = 0.0
    scored: float = 0.0
    soft: float = 0.0
    before_stale: Literal["pending", "firing"] = "pending"
    silent_since: int | None = None
    """Of a stale one, the index of the last pane with posts."""
    silent: int = 0
    """Panes for which it was stale: it isn't known that it lasted through them."""
    joined: dict[str, Evidence] = {}
    """Every measure that spoke for a rise while it was open, each at its strongest."""

    def join(self, rises: Iterable[Rise]) -> None:
        """Further measures speak, too."""
        for one in rises:
            known = self.joined.get(one.measure)
            if known is None or one.score > known.score:
                self.joined[one.measure] = Evidence(
                    measure=one.measure,
                    observed=one.observed,
                    expected=one.expected,
                    score=one.score,
                )

    def others(self) -> list[Evidence]:
        """Those beside the main one, the strongest first."""
        rest = [one for one in self.joined.values() if one.measure != self.measure]
        return sorted(rest, key=lambda one: -one.score)

    def transition(self, to: AlertState, *, kind: str, at: float, note: str | None) -> Transition:
        """Say that it came to this, at this watermark (Unix seconds)."""
        main = Evidence(
            measure=self.measure,
            observed=self.observed,
            expected=self.expected,
            score=max(0.0, self.score),
        )
        return Transition(
            kind=kind,
            state=to,
            measure=self.measure,
            observed=self.observed,
            expected=self.expected,
            evidence=(main, *self.others()),
            started_at=self.started * PANE_S,
            pending_at=self.pending_at,
            fired_at=self.fired_at,
            at=at,
            posts=self.posts,
            negative=self.negative,
            note=note,
        )


class Hour(msgspec.Struct, array_like=True):
    """An hour of a track, for the comparison with yesterday and last week."""

    hour: int
    """Hours since 1970."""
    scored: float = 0.0
    soft: float = 0.0


class State(msgspec.Struct):
    """A track's detector."""

    track: str
    first: int
    """Index of the first pane."""
    pane: int
    """Index of the pane that comes next."""
    baseline: Baseline
    instrument: Instrument
    version: int = VERSION
    floor: int = 0
    """No stretch begins before this pane: an alert ended there, or the instrument changed."""
    silent_until: int = 0
    """Pane before which nothing is reported, after a change of instrument."""
    last_post: int = 0
    """Index of the last pane with posts."""
    total: float = 0.0
    """Posts ever, after the caps."""
    rate: float = 0.0
    """Posts a minute, over the last week or as long as the track is known."""
    base: int = 0
    """Index of the pane before which `posts[0]`, `soft[0]`, … are sums."""
    posts: list[float] = msgspec.field(default_factory=lambda: [0.0])
    """Running sums at the end of each pane, since some point in the past."""
    soft: list[float] = msgspec.field(default_factory=lambda: [0.0])
    counts: list[Counts] = msgspec.field(default_factory=lambda: [(0.0, 0, 0.0)])
    forecasts: list[Forecast] = []
    """One a minute, the last 46 and some more; the last is for the minute that runs."""
    readers: dict[int, dict[str, int]] = {}
    """By pane, where more than one reader is known."""
    minute: MinuteSums = msgspec.field(default_factory=MinuteSums)
    """Of the minute that runs."""
    unjudged: bool = False
    """Whether the other measures have a minute that wasn't judged."""
    squares: float = 0.0
    """Sum of squares of the minute that runs."""
    hours: list[Hour] = []
    """The last eight days."""
    others: OtherMeasures = msgspec.field(default_factory=OtherMeasures)
    open: Open | None = None
    levels: list[tuple[int, float, float]] = []
    """By hour: Unix seconds, level, its standard deviation; the last day."""
    level_told: int = 0
    """Unix seconds of the last change of level that was reported."""


def forget_older(state: State) -> None:
    """Drop the older half of the running sums, of which there are twice as many as are needed."""
    cut = len(state.posts) - _KEPT_PANES
    cut -= cut % PANES_IN_WINDOW
    del state.posts[:cut], state.soft[:cut], state.counts[:cut]
    state.base += cut
    del state.forecasts[: cut // PANES_IN_WINDOW]
    for known in [known for known in state.readers if known < state.base]:
        del state.readers[known]


def forget_all(state: State, pane: int) -> None:
    """Begin as if the track were new, at this pane (a minute's first); an open alert stays open."""
    state.first = pane
    state.total = state.rate = 0.0
    state.baseline = Baseline(at=pane * PANE_S)
    state.others, state.minute = OtherMeasures(), MinuteSums()
    state.hours, state.levels = [], []


def begin_sums_again(state: State, pane: int) -> None:
    """Begin the running sums at this pane: nothing before it is looked at any more."""
    state.pane = state.base = state.floor = pane
    state.posts, state.soft, state.counts = [0.0], [0.0], [(0.0, 0, 0.0)]
    state.forecasts = []
    state.readers.clear()
    state.squares = 0.0
