"""A run whose servers are gone says that it waits."""

import asyncio

from emostream.batch.outage import tell_outages
from tests.runtime.fake_clock import FakeClock


class Pool:
    available = True


async def test_an_outage_is_told_once_and_its_end_and_a_short_one_never() -> None:
    pool, clock, told = Pool(), FakeClock(), list[str]()
    task = asyncio.create_task(tell_outages(pool, clock, told.append))
    await clock.advance(3)
    pool.available = False
    await clock.advance(3)
    pool.available = True
    await clock.advance(3)
    assert told == []
    pool.available = False
    await clock.advance(30)
    assert told == ["no model server takes prompts: waiting until one does; Ctrl-C ends the run"]
    pool.available = True
    await clock.advance(3)
    assert told[1:] == ["a model server answers again"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
