"""One timer for whatever is due first."""

from emollm.pool.wakeup import Wakeup
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
