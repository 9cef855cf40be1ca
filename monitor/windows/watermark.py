"""How far event time has come: the least over the partitions that still have records."""

from collections import deque

FUTURE_S = 60.0
"""Seconds that an event may lie ahead of its arrival: clocks of sources differ by less."""
LATENESS_S = 30.0
"""Allowed lateness, seconds: how much longer a window stays open than its last second."""
OUT_OF_ORDER_S = 30.0
"""Seconds by the broker's clock in which old posts may come in any order."""

_NEVER = float("-inf")
_STEPS = 30
"""Into how many the time is cut in which events may come in any order."""
_SURE = 8
"""Old posts in a row that are no slow ones among others: the consumer catches up."""
_BELIEVED = 128
"""Records in a row after which a clock that ran ahead before is believed: where one member in ten
has a clock of its own, so many of the others' come together once in a million."""
_MOST = 50_000
"""Posts that come after one before it is settled, whatever their records' times: a hundred members
have as many under way. Bounds the memory (some 100 MB) where those times stand still, and where
a fast consumer catches up."""
_STEP_POSTS = _MOST // _STEPS


class Watermark:
    """Event time up to which nothing more is expected, in Unix seconds.

    It is the least, over partitions, of the latest event time seen, less the allowed lateness.
    A partition that has been read to its end holds nothing back: the caller says so by position
    (`idle`), never by a timeout, which would lose what is merely slow. It never goes back.

    A consumer that catches up has hundreds of posts under way and publishes each as it is done: on
    a stream of one post a second, what comes within one second lies minutes of event time apart.
    So while most posts were old when their events arrived, and for as long after that, event time
    also waits until the event that it goes by has been there for `out_of_order_s` by the broker's
    clock, or until 50,000 more have come. Of a silence that an old post ends a sixth of that counts
    at most: the consumer may have died, and what it had under way comes when it is back. On a live
    stream, some slow posts included, this changes nothing.

    Records may have their writers' times, whose clocks differ. What lies behind the newest by more
    than `out_of_order_s` says that this one's clock ran ahead: from then on such a jump counts once
    nothing else has come for a while.
    """

    def __init__(
        self,
        *,
        lateness_s: float = LATENESS_S,
        future_s: float = FUTURE_S,
        out_of_order_s: float = OUT_OF_ORDER_S,
    ) -> None:
        self._lateness_s = lateness_s
        self._future_s = future_s
        self._out_of_order_s = out_of_order_s
        self._step_s = max(out_of_order_s, 1e-3) / _STEPS
        self._silence_s = out_of_order_s / 6
        self._latest: dict[int, float] = {}
        self._idle: set[int] = set()
        self._arrived = 0.0
        """When the newest record arrived; what ran far ahead of later ones doesn't count."""
        self._doubts = 0
        """How many records in a row have to lie ahead before they are believed; 0: the first is."""
        self._old = 0
        """By how many the old posts have outnumbered the others lately, up to `_SURE`."""
        self._waited = 0.0
        """Seconds by the records' times, less the silences that old posts ended."""
        self._behind_at = _NEVER
        """What `_waited` was when the consumer was last seen to catch up."""
        self._newest = _NEVER
        """The latest event time seen."""
        self._steps: deque[tuple[float, int, float]] = deque()
        """The steps that aren't settled yet: the value of `_waited` at which one ended, how many
        events had been seen when it began, and the latest event time up to its end."""
        self._step_end = 0.0
        """The value of `_waited` at which the current step ends."""
        self._step_since = self._seen = 0
        self._settled = _NEVER
        """The latest event time of all that has been there for `out_of_order_s`."""
        self._value = _NEVER

    @property
    def value(self) -> float:
        """Unix seconds; minus infinity until every assigned partition has a record or is idle."""
        return self._value

    @property
    def latest(self) -> float:
        """The latest event time seen; minus infinity before the first event."""
        return max(self._latest.values(), default=_NEVER)

    @property
    def arrived(self) -> float:
        """When the newest record arrived, by what its writers' clocks agree on; 0 before that."""
        return self._arrived

    def assign(self, partition: int) -> None:
        """Wait for this partition's events before event time moves."""
        self._latest.setdefault(partition, _NEVER)

    def withdraw(self, partition: int) -> None:
        """Read this partition no longer."""
        self._latest.pop(partition, None)
        self._idle.discard(partition)

    def observe(self, partition: int, event_time: float, arrived: float) -> bool:
        """Take an event's time; False where it lies in the future of its arrival.

        Event time moves in `advance` alone: of what was fetched together, one partition's events
        may not make another's late. An event of the future moves nothing: `arrived` is the
        broker's time of the record, or where that isn't known the time at which it was made.
        """
        self._idle.discard(partition)
        if event_time > arrived + self._future_s:
            self._latest.setdefault(partition, _NEVER)
            return False
        latest = self._latest
        if event_time > latest.get(partition, _NEVER):
            latest[partition] = event_time
        ahead = arrived - self._arrived
        old = arrived - event_time > self._lateness_s
        if self._doubts or ahead < -self._out_of_order_s:
            self._doubt(arrived, ahead)
        elif ahead > 0:
            self._arrived = arrived
            self._waited += self._silence_s if old and ahead > self._silence_s else ahead
        if old:
            # After a silence the first one will do: the consumer was away.
            self._old = _SURE if ahead > self._lateness_s else min(self._old + 1, _SURE)
            if self._old == _SURE:
                self._behind_at = self._waited
        elif self._old:
            self._old -= 1
        seen = self._seen = self._seen + 1
        if self._waited >= self._step_end or seen - self._step_since > _STEP_POSTS:
            self._steps.append((self._step_end, self._step_since, self._newest))
            self._step_end, self._step_since = self._waited + self._step_s, seen
        if event_time > self._newest:  # noqa: PLR1730 - `max` takes longer, for every event
            self._newest = event_time
        return True

    def idle(self, partition: int) -> None:
        """The position is the partition's end offset: it holds event time back no longer."""
        self._latest.setdefault(partition, _NEVER)
        self._idle.add(partition)

    def advance(self, *, at_least: float = _NEVER, quiet_s: float = 0.0) -> float:
        """Move to where the partitions allow, and return that.

        With every partition idle, the latest event seen anywhere counts. `at_least` is a time up
        to which the caller knows that nothing is missing (all partitions idle and the broker's
        time past it); the lateness is taken off that, too. `quiet_s` is how many seconds later it
        is than the newest record says, as nothing has come since, all partitions being idle.
        """
        held = [time for partition, time in self._latest.items() if partition not in self._idle]
        reached = min(held) if held else max(self._latest.values(), default=_NEVER)
        value = reached - self._lateness_s
        waited = self._waited + quiet_s
        settled = self._settle(waited - self._out_of_order_s)
        if waited - self._behind_at < self._out_of_order_s:
            value = min(value, settled)
        if not held:
            value = max(value, at_least - self._lateness_s)
        self._value = max(self._value, value)
        return self._value

    def _doubt(self, arrived: float, ahead: float) -> None:
        """Take a record's time once a clock has run ahead, and the one that says so."""
        if ahead > self._out_of_order_s / 2:
            self._doubts -= 1
            if self._doubts:
                return
        else:
            self._doubts = _BELIEVED
            if ahead >= -self._out_of_order_s:
                arrived = max(arrived, self._arrived)
        self._waited += min(max(arrived - self._arrived, 0.0), self._silence_s)
        self._arrived = arrived

    def _settle(self, waited: float) -> float:
        """Return the latest event time of what had come when `_waited` was this, in whole steps."""
        steps, enough = self._steps, self._seen - _MOST - _STEP_POSTS
        while steps and (steps[0][0] <= waited or steps[0][1] <= enough):
            self._settled = steps.popleft()[2]
        if self._step_end <= waited:
            self._settled = self._newest
        return self._settled
