"""Time that a test turns by hand."""

import asyncio
from collections.abc import Callable


class FakeTimer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """Doesn't move until `advance`."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._timers: list[FakeTimer] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now

    def call_later(self, delay_s: float, call: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self.now + delay_s, call)
        self._timers.append(timer)
        return timer

    async def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer, and let everything that it wakes run."""
        await settle()
        end = self.now + seconds
        while due := [t for t in self._timers if not t.cancelled and t.at <= end]:
            first = min(due, key=lambda timer: timer.at)
            self._timers = [t for t in self._timers if t is not first and not t.cancelled]
            self.now = max(self.now, first.at)
            first.call()
            await settle()
        self.now = end
        await settle()


async def settle() -> None:
    """Let every task run until all of them wait for something that a test decides."""
    for _ in range(50):
        await asyncio.sleep(0)
