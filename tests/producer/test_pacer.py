"""Posts per second: even, held over a run, no burst after a long stall."""

import asyncio
from itertools import pairwise

import pytest

from producer.pacer import Pacer
from tests.producer.fakes import FakeClock


async def test_the_rate_holds_over_a_run() -> None:
    clock = FakeClock()
    pacer = Pacer(200, clock)
    times = []
    for _ in range(401):
        await pacer.wait(asyncio.Event())
        times.append(clock.now)
    assert times[-1] - times[0] == pytest.approx(2.0)
    assert max(b - a for a, b in pairwise(times)) == pytest.approx(1 / 200)


async def test_a_long_stall_is_not_made_up_for_by_a_burst() -> None:
    clock = FakeClock()
    pacer = Pacer(10, clock)
    await pacer.wait(asyncio.Event())
    clock.now += 60
    start = clock.now
    let_through = 0
    while clock.now == start:
        await pacer.wait(asyncio.Event())
        let_through += 1
    assert let_through <= 12


async def test_without_a_rate_nothing_waits() -> None:
    clock = FakeClock()
    for _ in range(1_000):
        await Pacer(None, clock).wait(asyncio.Event())
    assert clock.now == 1_000


async def test_a_stop_is_noticed_long_before_the_next_post_is_due() -> None:
    clock, stop = FakeClock(), asyncio.Event()
    pacer = Pacer(1 / 3_600, clock)
    await pacer.wait(stop)
    clock.on_sleep = stop.set
    await pacer.wait(stop)
    assert clock.now - 1_000 < 1


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must be above 0"):
        Pacer(rate, FakeClock())
