"""How far event time has come: the least over the partitions that still have records."""

FUTURE_S = 60.0
"""Seconds that an event may lie ahead of its arrival: clocks of sources differ by less."""
LATENESS_S = 30.0
"""Allowed lateness, seconds: how much longer a window stays open than its last second."""


_NEVER = float("-inf")


class Watermark:
    """Event time up to which nothing more is expected, in Unix seconds.

    It is the least, over partitions, of the latest event time seen, less the allowed lateness.
    A partition that has been read to its end holds nothing back: the caller says so by position
    (`idle`), never by a timeout, which would lose what is merely slow. It never goes back.
    """

    def __init__(self, *, lateness_s: float = LATENESS_S, future_s: float = FUTURE_S) -> None:
        self._lateness_s = lateness_s
        self._future_s = future_s
        self._latest: dict[int, float] = {}
        self._idle: set[int] = set()
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
        return True

    def idle(self, partition: int) -> None:
        """The position is the partition's end offset: it holds event time back no longer."""
        self._latest.setdefault(partition, _NEVER)
        self._idle.add(partition)

    def advance(self, *, at_least: float = _NEVER) -> float:
        """Move to where the partitions allow, and return that.

        With every partition idle, the latest event seen anywhere counts. `at_least` is a time up
        to which the caller knows that nothing is missing (all partitions idle and the broker's
        time past it); the lateness is taken off that, too.
        """
        held = [time for partition, time in self._latest.items() if partition not in self._idle]
        reached = min(held) if held else max(self._latest.values(), default=_NEVER)
        if not held:
            reached = max(reached, at_least)
        self._value = max(self._value, reached - self._lateness_s)
        return self._value
