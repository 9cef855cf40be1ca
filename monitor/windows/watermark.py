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


class Watermark:
    """Event time up to which nothing more is expected, in Unix seconds.

    It is the least, over partitions, of the latest event time seen, less the allowed lateness.
    A partition that has been read to its end holds nothing back: the caller says so by position
    (`idle`), never by a timeout, which would lose what is merely slow. It never goes back.

    A consumer that catches up has hundreds of posts under way and publishes each as it is done: on
    a stream of one post a second, what comes within one second lies minutes of event time apart.
    So while most posts were old when their events arrived, and for as long after that, event time
    also waits until the event that it goes by has been there for `out_of_order_s` by the broker's
    clock. On a live stream, some slow posts included, this changes nothing.
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
        self._latest: dict[int, float] = {}
        self._idle: set[int] = set()
        self._arrived = _NEVER
        """When the newest record arrived; what ran far ahead of later ones doesn't count."""
        self._old = 0
        """By how many the old posts have outnumbered the others lately, up to `_SURE`."""
        self._behind_at = _NEVER
        """When the newest record arrived by which the consumer was catching up."""
        self._newest = _NEVER
        """The latest event time seen."""
        self._steps: deque[tuple[int, float]] = deque()
        """What it was after each step of arrival, as long as that isn't settled."""
        self._settled = _NEVER
        """The latest event time of what has been there for long enough."""
        self._value = _NEVER

    @property
    def value(self) -> float:
        """Unix seconds; minus infinity until every assigned partition has a record or is idle."""
        return self._value

    @property
    def latest(self) -> float:
        """The latest event time seen; minus infinity before the first event."""
        return max(self._latest.values(), default=_NEVER)

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
        if arrived - event_time > self._lateness_s:
            # After a silence the first one will do: the consumer was away.
            silent = arrived - self._arrived > self._lateness_s
            self._old = _SURE if silent else min(self._old + 1, _SURE)
            if self._old == _SURE and arrived > self._behind_at:
                self._behind_at = arrived
        elif self._old:
            self._old -= 1
        if arrived > self._arrived:
            self._arrived = arrived
        elif arrived < self._arrived - self._out_of_order_s:
            self._turn_back(arrived)
        if event_time > self._newest:
            self._newest = event_time
            step, steps = int(arrived / self._step_s), self._steps
            if steps and steps[-1][0] >= step:  # partitions don't arrive in one order
                step = steps.pop()[0]
            steps.append((step, event_time))
        return True

    def idle(self, partition: int) -> None:
        """The position is the partition's end offset: it holds event time back no longer."""
        self._latest.setdefault(partition, _NEVER)
        self._idle.add(partition)

    def advance(self, *, at_least: float = _NEVER, quiet_s: float = 0.0) -> float:
        """Move to where the partitions allow, and return that.

        With every partition idle, the latest event seen anywhere counts. `at_least` is a time up
        to which the caller knows that nothing is missing (all partitions idle and the broker's
        time past it); the lateness is taken off that, too. `quiet_s` is for how many seconds no
        partition has brought anything, all being idle.
        """
        held = [time for partition, time in self._latest.items() if partition not in self._idle]
        reached = min(held) if held else max(self._latest.values(), default=_NEVER)
        value = reached - self._lateness_s
        arrived = self._arrived + quiet_s
        settled = self._settle(arrived - self._out_of_order_s)
        if arrived - self._behind_at < self._out_of_order_s:
            value = min(value, settled)
        if not held:
            value = max(value, at_least - self._lateness_s)
        self._value = max(self._value, value)
        return self._value

    def _turn_back(self, arrived: float) -> None:
        """The clock by which something arrived ran ahead: it is as late as it is now."""
        self._arrived, self._behind_at = arrived, min(arrived, self._behind_at)
        if self._steps:
            self._steps = deque([(int(arrived / self._step_s), self._newest)])

    def _settle(self, arrived: float) -> float:
        """The latest event time of what was there by `arrived`, as far as whole steps go."""
        steps = self._steps
        while steps and (steps[0][0] + 1) * self._step_s <= arrived:
            self._settled = steps.popleft()[1]
        return self._settled
