"""One track's detector: panes in, transitions out. Pure, and the same live and in a backtest."""

from typing import Literal

import msgspec

from monitor.detection.band import expected_of_minutes
from monitor.detection.baseline import STEP_S, Baseline, Forecast
from monitor.detection.hours import moved_level, remember_hour, same_hour
from monitor.detection.instrument import Instrument, differs
from monitor.detection.measures import MinuteSums, Rise
from monitor.detection.scan import LONGEST
from monitor.detection.settings import WEEK_S, DetectionSettings
from monitor.detection.state import (
    MOST_PANES,
    VERSION,
    Open,
    State,
    begin_sums_again,
    forget_all,
    forget_older,
)
from monitor.detection.stretches import (
    least_expected,
    lowest_expected,
    speaks_for_calm,
    strongest,
)
from monitor.detection.transition import Transition
from monitor.windows.panes import PANE_S, PANES_IN_WINDOW
from schemas.alert import AlertState, Measure
from schemas.window import Expected, PaneSums

_PENDING = 1.5
"""Nats below the threshold at which an alert is pending: some four times as often as it fires."""
_DROPPED = 3.0
"""Nats below the threshold at which a pending alert is dropped."""
_CALM = 6.0
"""Nats for the usual mood against the risen one, from which on an alert is resolved."""
_OTHER_MEASURES = 2.0
"""Nats that the other measures need more: there are five, and they see less sharply."""
_GAP = LONGEST + PANES_IN_WINDOW
"""Panes without posts after which the running sums begin again."""
_FORGOTTEN_S = 30 * 86_400
"""Seconds without posts after which a track warms again: the level is doubted more by then than a
new track's. It bounds the work, too: one post of 1970 lies 29 million steps before the next."""


class SnapshotError(ValueError):
    """A snapshot of another version, or no snapshot: let the track warm again."""


class TrackDetector:
    """Judges one track, pane by pane.

    Feed it each closed pane that has posts, oldest first; `advance` tells it of time without
    posts. The same panes give the same transitions, however they are handed over.
    """

    def __init__(
        self, track: str, first_pane: int, settings: DetectionSettings | None = None
    ) -> None:
        """Start a track whose first pane has this index (Unix seconds over ten)."""
        minute = first_pane - first_pane % PANES_IN_WINDOW
        self._settings = settings or DetectionSettings()
        self._s = State(
            track=track,
            first=minute,
            pane=minute,
            base=minute,
            floor=minute,
            last_post=minute,
            baseline=Baseline(at=minute * PANE_S),
            instrument=Instrument(),
        )
        self._found: list[Transition] = []
        self._threshold: float | None = None
        """Of the minute that runs; None: not worked out yet."""
        self._lowest = 1.0
        """At most what any forecast still in use expects."""

    @classmethod
    def restore(cls, snapshot: bytes, settings: DetectionSettings | None = None) -> "TrackDetector":
        """Return the detector that `snapshot` wrote.

        Raises:
            SnapshotError: it is of another version, or damaged.
        """
        try:
            state = msgspec.msgpack.decode(snapshot, type=State)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"unreadable baseline: {error}") from error
        if state.version != VERSION:
            raise SnapshotError(f"baseline of version {state.version}, this is {VERSION}")
        detector = cls(state.track, state.first, settings)
        detector._s = state
        detector._lowest = lowest_expected(state.forecasts)
        return detector

    def snapshot(self) -> bytes:
        """Return all that it knows (msgpack, 40 KB): `restore` goes on from there."""
        return msgspec.msgpack.encode(self._s)

    @property
    def track(self) -> str:
        """The track's name."""
        return self._s.track

    @property
    def next_pane(self) -> int:
        """Index of the pane that it expects next; earlier ones are ignored."""
        return self._s.pane

    @property
    def last_post(self) -> int:
        """Unix seconds: the end of the last pane with posts, or of the start without any."""
        return (self._s.last_post + 1) * PANE_S

    @property
    def alert_state(self) -> AlertState | None:
        """State of the open alert; None where none is open."""
        return self._s.open.state if self._s.open else None

    @property
    def warm(self) -> bool:
        """Whether it has seen enough to say anything."""
        state = self._s
        return (
            (state.pane - state.first) * PANE_S >= self._settings.warm_s
            and state.total >= self._settings.warm_posts
            and state.pane >= state.silent_until
        )

    def expected(self) -> float:
        """Return the usual soft share negative of now."""
        return self._s.baseline.expected(self._s.pane * PANE_S)

    def minute_band(
        self, start: int, posts: float, *, minutes: Literal[1, 10] = 1
    ) -> Expected | None:
        """Return what was expected of the minutes from `start` (Unix seconds) on.

        The forecast made before they began, as `_judge` compares with it; the band holds 95 % of
        the means of so many posts. None while it warms, and for what is longer ago than is kept.
        """
        return expected_of_minutes(self._s, start, minutes, posts) if self.warm else None

    def same_hour(self, at: float, days: int) -> float | None:
        """Return the soft share negative of the same hour so many days before, where known."""
        return same_hour(self._s, at, days)

    def feed(self, sums: PaneSums) -> list[Transition]:
        """Take a closed pane; return what it brings about. Panes before `next_pane` do nothing."""
        pane = sums.at // PANE_S
        if pane < self._s.pane:
            return []
        found = self.advance(pane)
        self._take(pane, sums)
        return found

    def advance(self, until_pane: int) -> list[Transition]:
        """Let the panes before this index pass without posts."""
        self._found = found = list[Transition]()
        state = self._s
        while state.pane < until_pane:
            pane, passed = state.pane, 1
            if pane - state.last_post > _GAP:
                if until_pane - pane > _GAP:
                    self._leap(until_pane - until_pane % PANES_IN_WINDOW - PANES_IN_WINDOW)
                    pane = state.pane
            elif state.open is None or state.open.state == "stale":
                # Up to the next minute at once; the leap above isn't passed over.
                minute_ends = pane - pane % PANES_IN_WINDOW + PANES_IN_WINDOW
                passed = min(until_pane, minute_ends, state.last_post + _GAP + 1) - pane
            if pane % PANES_IN_WINDOW == 0:
                self._begin(pane)
            state.posts += [state.posts[-1]] * passed
            state.soft += [state.soft[-1]] * passed
            state.counts += [state.counts[-1]] * passed
            state.pane = pane + passed
            if state.open and state.open.state != "stale":
                self._listen(state.open)
        return found

    def data_stopped(self, silent_s: float) -> list[Transition]:
        """Hear that nothing at all has come for so long by the clock on the wall.

        Event time can't move without events: an open alert becomes stale where event time stopped,
        so its record has the same id whoever says it, and whenever.
        """
        self._found = []
        opened = self._s.open
        if opened is not None and opened.state != "stale" and silent_s >= self._silence_s():
            self._become_stale(opened, "no events: nothing is known")
        return self._found

    def still_open(self) -> list[Transition]:
        """Return the open alert as it is now, where there is one: for who doesn't know of it."""
        self._found = []
        if self._s.open is not None:
            self._say(self._s.open, self._s.open.state, self._s.pane - 1)
        return self._found

    def _take(self, pane: int, sums: PaneSums) -> None:
        state = self._s
        if pane % PANES_IN_WINDOW == 0:
            self._begin(pane)
        scored = sums.scored
        people, posts, negative = state.counts[-1]
        state.counts.append((people + sums.people, posts + sums.posts, negative + sums.negative))
        state.posts.append(state.posts[-1] + scored)
        state.soft.append(state.soft[-1] + sums.soft)
        state.pane = pane + 1
        state.last_post = pane
        state.total += scored
        state.squares += sums.soft_squares
        changed = state.instrument.observe(sums.at, sums.readers)
        if len(state.instrument.usual) > 1:
            state.readers[pane] = dict(sums.readers)
        state.minute.add(sums)
        if changed:
            self._rewarm()
            return
        if not scored:
            return
        if state.open is None:
            if self.warm:
                self._judge(pane)
        elif state.open.state == "pending":
            self._judge(pane)
        else:
            self._follow(state.open, sums)

    def _begin(self, pane: int) -> None:
        """At a minute's start: learn from the minute before, and make the forecast."""
        state, baseline, at = self._s, self._s.baseline, pane * PANE_S
        posts, soft = state.posts, state.soft
        before = max(0, len(posts) - 1 - PANES_IN_WINDOW)
        new_posts = posts[-1] - posts[before]
        self._threshold = None
        if at > baseline.at:
            baseline.at = at - STEP_S
            baseline.step()
            if new_posts and (state.open is None or state.open.state == "pending"):
                new_soft = soft[-1] - soft[before]
                baseline.observe(new_posts, new_soft, state.squares)
            state.squares = 0.0
            minute = state.minute
            if minute.scored or minute.labelled:
                state.others.feed(pane // PANES_IN_WINDOW - 1, minute)
                remember_hour(state, (at - STEP_S) // 3600, minute.scored, minute.soft)
                state.minute = MinuteSums()
                state.unjudged = True
        forecast = baseline.forecast()
        state.forecasts.append(forecast)
        self._lowest = min(self._lowest, least_expected(forecast))
        if len(posts) > MOST_PANES:
            forget_older(state)
        seconds = at - state.first * PANE_S
        if seconds <= WEEK_S:
            state.rate = state.total / max(60.0, seconds / 60)
        else:
            state.rate += (new_posts - state.rate) * 60 / WEEK_S
        if at % 3600 == 0:
            self._lowest = lowest_expected(state.forecasts)
            moved = moved_level(state, at, warm=self.warm)
            if moved is not None:
                self._tell_level(pane - 1, *moved)

    def _judge(self, pane: int) -> None:
        threshold = self._threshold or self._new_threshold()
        best, length, observed, expected = strongest(
            self._s, pane, threshold - _DROPPED, self._lowest
        )
        measure: Measure = "negative_share"
        speaking: list[Rise] = []
        opened, minute_ended = self._s.open, self._s.unjudged
        if minute_ended:
            self._s.unjudged = False
            speaking = self._s.others.rises(threshold - _PENDING, share=best)
            other = max(speaking, key=lambda one: one.score, default=None)
            if other is not None and other.score - _OTHER_MEASURES > best:
                if best > threshold - _PENDING:
                    speaking.append(Rise(measure, best, observed, expected, 0))
                best, measure = other.score - _OTHER_MEASURES, other.measure
                length = max(length, other.minutes * PANES_IN_WINDOW)
                observed, expected = other.observed, other.expected
        # What another measure began, only a minute with that measure can end.
        judged = minute_ended or (opened is not None and opened.measure == "negative_share")
        if judged and opened is not None and best < threshold - _DROPPED:
            self._s.open = None
            self._say(opened, "resolved", pane, note="it passed before it fired")
            return
        if best < threshold - _PENDING:
            return
        started = pane + 1 - length
        if self._instrument_differs(started):
            self._rewarm()
            return
        if opened is None:
            opened = self._s.open = Open(
                started=started,
                pending_at=(pane + 1) * PANE_S,
                state="pending",
                measure=measure,
                observed=observed,
                expected=expected,
                score=max(0.0, best),
            )
            self._say(opened, "pending", pane)
        opened.join(speaking)
        if best >= opened.score:
            opened.started, opened.measure = started, measure
            opened.observed, opened.expected, opened.score = observed, expected, best
        if best >= threshold and self._enough(opened, length, observed, expected):
            self._fire(opened, pane)

    def _new_threshold(self) -> float:
        """Work out the threshold of the minute that runs; it changes with nothing else."""
        noise = self._s.baseline.noise(self._s.forecasts[-1].mean)
        self._threshold = self._settings.threshold(self._s.rate, noise)
        return self._threshold

    def _enough(self, opened: Open, length: int, observed: float, expected: float) -> bool:
        state, settings = self._s, self._settings
        begin = max(0, len(state.posts) - 1 - length)
        if state.counts[-1][0] - state.counts[begin][0] < settings.min_people:
            return False
        if opened.measure == "negative_share":
            number = state.posts[-1] - state.posts[begin]
            return number * (observed - expected) >= settings.min_excess
        return True

    def _fire(self, opened: Open, pane: int) -> None:
        state = self._s
        opened.state = "firing"
        opened.fired_at = (pane + 1) * PANE_S + self._settings.lateness_s
        before = self._forecast_before(opened.started)
        if before is not None:
            state.baseline.resume(before)
        number, soft = self._since(opened.started)
        opened.rise = max(0.05, soft / max(1.0, number) - self.expected())
        opened.calm = 0.0
        self._say(opened, "firing", pane)

    def _follow(self, opened: Open, sums: PaneSums) -> None:
        """An alert that fires: is the mood back, or has it come to stay?"""
        state, pane = self._s, self._s.pane - 1
        if opened.state == "stale":
            opened.state = opened.before_stale
            if opened.silent_since is not None:
                opened.silent += pane - opened.silent_since
            self._say(opened, opened.state, pane, note="posts come again")
            if opened.state == "pending":
                self._judge(pane)
                return
        usual = self.expected()
        if state.unjudged:
            state.unjudged = False
            least = self._settings.threshold(state.rate, state.baseline.noise(usual)) - _PENDING
            rises = state.others.rises(least, share=opened.score)
            opened.join(rises)
            opened.speaks = any(rise.measure == opened.measure for rise in rises)
        opened.scored += sums.scored
        opened.soft += sums.soft
        opened.calm = max(0.0, opened.calm + speaks_for_calm(sums, usual, opened.rise))
        fired = opened.fired_at or 0.0
        watermark = (pane + 1) * PANE_S + self._settings.lateness_s
        by_share = opened.measure == "negative_share"
        calm = opened.calm > _CALM if by_share else not opened.speaks
        if calm and watermark - fired >= self._settings.min_firing_s:
            self._close(opened, pane, None)
        elif watermark - fired - opened.silent * PANE_S >= self._settings.lasting_s:
            self._close(opened, pane, "it lasts: from here on this is the usual level")
            risen = opened.soft / max(1.0, opened.scored)
            state.baseline.move(risen - usual)
            self._tell_level(pane, risen, usual)

    def _listen(self, opened: Open) -> None:
        """An open alert without posts becomes stale, never resolved."""
        if (self._s.pane - 1 - self._s.last_post) * PANE_S >= self._silence_s():
            self._become_stale(opened, "no posts: nothing is known")

    def _silence_s(self) -> float:
        """Return the seconds without posts after which nothing is known any more."""
        return max(self._settings.silence_s, 20 * 60 / max(0.05, self._s.rate))

    def _become_stale(self, opened: Open, note: str) -> None:
        opened.before_stale = "firing" if opened.state == "firing" else "pending"
        opened.state, opened.silent_since = "stale", self._s.last_post
        self._say(opened, "stale", self._s.pane - 1, note=note)

    def _close(self, opened: Open, pane: int, note: str | None) -> None:
        state = self._s
        state.open = None
        state.floor = _next_minute(pane)
        state.others.begin_again()
        self._say(opened, "resolved", pane, note=note)

    def _rewarm(self) -> None:
        """The mix of readers changed: report it, doubt the level, be silent for a while."""
        state, pane = self._s, self._s.pane - 1
        if state.open is not None:
            opened, state.open = state.open, None
            self._say(opened, "resolved", pane, note="the models that read the posts changed")
        state.instrument.settle()
        state.floor = _next_minute(pane)
        before = self._forecast_before(pane + 1 - 3 * PANES_IN_WINDOW)
        if before is not None:
            state.baseline.resume(before)
        state.baseline.loosen(0.15)
        state.silent_until = pane + 1 + 7200 // PANE_S
        state.others.forget_usual()
        usual = self.expected()
        opened = Open(
            started=pane,
            pending_at=(pane + 1) * PANE_S,
            state="pending",
            measure="negative_share",
            observed=usual,
            expected=usual,
            score=0.0,
        )
        note = "the mix of models or opinions changed: the baseline is warmed again"
        self._say(opened, "resolved", pane, kind="instrument", note=note)

    def _instrument_differs(self, started: int) -> bool:
        """Whether other models read this stretch than usual: too early for the mix to tell."""
        state = self._s
        if len(state.instrument.usual) <= 1:
            return False
        mix: dict[str, float] = {}
        for pane, readers in state.readers.items():
            if pane >= started:
                for reader, posts in readers.items():
                    mix[reader] = mix.get(reader, 0.0) + posts
        return differs(mix, state.instrument.usual)

    def _tell_level(self, pane: int, level: float, before: float) -> None:
        self._s.level_told = (pane + 1) * PANE_S
        opened = Open(
            started=max(0, pane + 1 - 86400 // PANE_S),
            pending_at=(pane + 1) * PANE_S,
            state="pending",
            measure="negative_share",
            observed=level,
            expected=before,
            score=0.0,
        )
        self._say(opened, "resolved", pane, kind="level", note="the usual level moved within a day")

    def _leap(self, pane: int) -> None:
        """Pass a long silence: stale first, then the sums begin again."""
        state = self._s
        if state.open is not None and state.open.state != "stale":
            return
        if pane * PANE_S - state.baseline.at > _FORGOTTEN_S:
            forget_all(state, pane)
        while state.baseline.at < pane * PANE_S:
            state.baseline.step()
        begin_sums_again(state, pane)
        if state.open is not None:
            state.open.started = max(state.open.started, pane)

    def _forecast_before(self, pane: int) -> Forecast | None:
        forecasts = self._s.forecasts
        if not forecasts:
            return None
        step = pane // PANES_IN_WINDOW - forecasts[0].at // STEP_S
        return forecasts[min(len(forecasts) - 1, max(0, step))]

    def _since(self, pane: int) -> tuple[float, float]:
        state = self._s
        begin = max(0, pane - state.base)
        return state.posts[-1] - state.posts[begin], state.soft[-1] - state.soft[begin]

    def _say(
        self,
        opened: Open,
        to: AlertState,
        pane: int,
        *,
        kind: str = "spike",
        note: str | None = None,
    ) -> None:
        state = self._s
        begin = max(0, opened.started - state.base)
        if begin < len(state.counts):
            _, posts, negative = state.counts[-1]
            _, before, negative_before = state.counts[begin]
            opened.posts = max(opened.posts, posts - before)
            opened.negative = max(opened.negative, negative - negative_before)
        at = (pane + 1) * PANE_S + self._settings.lateness_s
        self._found.append(opened.transition(to, kind=kind, at=at, note=note))


def _next_minute(pane: int) -> int:
    """Return the first pane of the next minute: its forecast is the first to know of a change."""
    return (pane // PANES_IN_WINDOW + 1) * PANES_IN_WINDOW
