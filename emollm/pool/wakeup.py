"""One timer for whatever is due first."""

from collections.abc import Callable

from runtime.clock import Clock, Timer


class Wakeup:
    """Calls once at a time that may be moved until then."""

    def __init__(self, clock: Clock, call: Callable[[], None]) -> None:
        self._clock = clock
        self._call = call
        self._timer: Timer | None = None
        self._at = float("inf")

    def at(self, due: float) -> None:
        """Call at this time of the monotonic clock, or before; infinity: not at all.

        A time before it that was asked for stays: whoever is called too early asks again.
        """
        now = self._clock.monotonic()
        if self._timer is not None:
            if self._at <= max(due, now):
                # One that is due rings in this turn of the loop; set again, it might never ring.
                return
            self.cancel()
        if due < float("inf"):
            self._at = due
            self._timer = self._clock.call_later(max(0.0, due - now), self._ring)

    def cancel(self) -> None:
        """Don't call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._call()
