"""A server that refused (429) rests for a moment; when that is over, it is asked again."""

import asyncio

from tests.emollm.pool.fakes import FakeServer, Started, expected, prompts, texts_of
from tests.emollm.pool.simulation import simulated
from tests.emollm.pool.test_failures import WIDE


@simulated
async def test_prompts_that_come_during_a_pause_are_asked_when_it_is_over() -> None:
    """Where nothing else waited, no timer was set: they waited for the next batch."""
    server = FakeServer(info=WIDE, latency_s=0.01)
    async with Started(server) as pool:
        (upstream,) = pool._upstreams
        upstream.paused_until = pool._now() + 1.0
        async with asyncio.timeout(30.0):
            assert texts_of(await pool.ask(prompts("post"))) == expected("post")


@simulated
async def test_a_pause_that_ends_while_the_pool_looks_around_is_not_missed() -> None:
    """It was over by the second reading of the clock and not by the first.

    So no prompt was sent and no timer was set, and 132 prompts of a real consumer waited on.
    """
    server = FakeServer(info=WIDE, latency_s=0.01)
    async with Started(server) as pool:
        (upstream,) = pool._upstreams
        upstream.paused_until = pool._now() + 1.0
        asked = asyncio.ensure_future(pool.ask(prompts("post")))
        await asyncio.sleep(0)
        real, readings = pool._now, iter([0.9999, 0.9999])  # `release`, and the first look
        begin = real()
        pool._now = lambda: begin + next(readings, 1.0001)
        pool._on_timer()
        pool._now = real
        async with asyncio.timeout(30.0):
            assert texts_of(await asked) == expected("post")
