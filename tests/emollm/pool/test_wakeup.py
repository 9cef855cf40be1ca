"""One timer for whatever is due first."""

import asyncio

from emollm.pool.wakeup import Wakeup
from tests.emollm.pool.simulation import LoopClock, simulated
from tests.runtime.fake_clock import FakeClock


def at_times() -> tuple[FakeClock, Wakeup, list[float]]:
    clock, calls = FakeClock(), list[float]()
    return clock, Wakeup(clock, lambda: calls.append(clock.now - 1_000.0)), calls


async def test_it_is_called_at_the_first_time_that_was_asked_for_and_once() -> None:
    clock, wakeup, calls = at_times()
    for due in (5.0, 3.0, 9.0):
        wakeup.at(1_000.0 + due)
    await clock.advance(20.0)
    assert calls == [3.0]


async def test_what_is_due_already_is_called_for_at_once_and_it_can_be_asked_again() -> None:
    clock, wakeup, calls = at_times()
    wakeup.at(990.0)
    await clock.advance(0.0)
    wakeup.at(1_002.0)
    await clock.advance(5.0)
    assert calls == [0.0, 2.0]


async def test_cancelled_or_asked_for_never_it_is_not_called() -> None:
    clock, wakeup, calls = at_times()
    wakeup.at(float("inf"))
    wakeup.at(1_002.0)
    wakeup.cancel()
    await clock.advance(5.0)
    assert calls == []


@simulated
async def test_asked_again_in_each_turn_of_the_loop_it_is_called_all_the_same() -> None:
    """As a pool does that fails prompts all the time: what waited at the tail would stay there."""
    clock, calls = LoopClock(), list[float]()
    wakeup = Wakeup(clock, lambda: calls.append(clock.monotonic()))
    due = clock.monotonic()
    for _ in range(10):
        wakeup.at(due)
        await asyncio.sleep(0)
    assert calls


@simulated
async def test_who_is_called_early_and_asks_again_is_called_in_time() -> None:
    """A loop calls up to a nanosecond early; this one has something else to do in each turn."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    due = loop.time() + 5e-10

    def ring() -> None:
        if loop.time() >= due:
            ended.set()
        else:
            ask_again()

    def ask_again() -> None:
        wakeup.at(due)
        loop.call_soon(int)

    wakeup = Wakeup(LoopClock(), ring)
    ask_again()
    await ended.wait()
