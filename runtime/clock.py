"""Time comes in through here, so that tests turn it by hand."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol


class Timer(Protocol):
    """Something that will be called, unless it is cancelled before."""

    def cancel(self) -> None:
        """Don't call it."""


class Clock(Protocol):
    """The one source of time and of waiting."""

    def monotonic(self) -> float:
        """Seconds that only grow, from some point in the past."""

    def wall(self) -> float:
        """Unix seconds; may jump."""

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Call it on the event loop after `delay_s` seconds."""


class SystemClock:
    """The machine's time and the running event loop's timers."""

    monotonic = staticmethod(time.monotonic)
    """Seconds of the machine's monotonic clock; read twice a prompt, so no call in between."""

    def wall(self) -> float:
        """Unix seconds of the machine's wall clock."""
        return time.time()

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Use the running event loop's timer."""
        return asyncio.get_running_loop().call_later(delay_s, call)


async def sleep(clock: Clock, seconds: float) -> None:
    """Wait `seconds`."""
    await wait_all(clock, (asyncio.get_running_loop().create_future(),), seconds)


async def wait_all(
    clock: Clock, futures: Iterable[asyncio.Future[Any]], timeout_s: float
) -> list[asyncio.Future[Any]]:
    """Wait until all are done or `timeout_s` has passed; give those that aren't done.

    They are neither cancelled nor asked for their results. Meant for many futures that are done
    together, as one acknowledged produce request makes them: it costs a look at each, and a
    callback only for those that are waited for one after the other.
    """
    pending = [future for future in futures if not future.done()]
    if not pending:
        return pending
    # Written out: `asyncio.wait` makes sets, and wakes nobody before the next turn of the loop.
    loop = asyncio.get_running_loop()
    over = False
    waiter: asyncio.Future[None] | None = None

    def wake(_: object = None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def expire() -> None:
        nonlocal over
        over = True
        wake()

    timer = clock.call_later(max(0.0, timeout_s), expire)
    try:
        for future in pending:
            if future.done():
                continue
            if over:
                break
            waiter = loop.create_future()
            future.add_done_callback(wake)
            try:
                await waiter
            finally:
                future.remove_done_callback(wake)
    finally:
        timer.cancel()
    return [future for future in pending if not future.done()]
