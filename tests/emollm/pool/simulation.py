"""An event loop whose time jumps to whatever is due next: minutes pass in milliseconds."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ParamSpec

Parameters = ParamSpec("Parameters")


class _Selector(selectors.SelectSelector):
    """Never waits: it counts how long the loop would have waited. There are no sockets here.

    A turn of the loop takes a nanosecond at least. asyncio runs timers up to that much early: who
    asks again then, with something else to do in the same turn, would ask forever.
    """

    waited: float = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "every task waits and nothing is due: a deadlock"
        self.waited += max(1e-9, timeout)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumps = _Selector()
        super().__init__(self._jumps)

    def time(self) -> float:
        return 1_000.0 + self._jumps.waited


class LoopClock:
    """The running loop's time as the clock that our code is given."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return 1_700_000_000.0 + self.monotonic()

    def call_later(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay_s, call)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run it in simulated time; an exception of a forgotten task fails it."""
    loop = SimulatedLoop()
    unseen: list[Mapping[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unseen.append(context))
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()
    assert not unseen, unseen


def simulated(
    test: Callable[Parameters, Coroutine[Any, Any, None]],
) -> Callable[Parameters, None]:
    """Make a test that runs in simulated time."""

    @functools.wraps(test)
    def in_simulation(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        run(test(*args, **kwargs))

    return in_simulation
