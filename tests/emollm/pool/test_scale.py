"""Consumers that share one server: each adds what it can, until the server is full."""

import asyncio

from emollm.errors import ModelError, Overloaded
from emollm.pool import Pool, PoolOptions
from emollm.protocol import GenerateParams, Generation
from tests.emollm.pool.fakes import FakeServer, prompts
from tests.emollm.pool.simulation import LoopClock, simulated

PLACES = 32
EACH = 8
"""Prompts that one consumer keeps in flight: four fill the server."""
ANSWER_S = 0.2
MEASURED_S = 20.0


class FullServer(FakeServer):
    """Refuses what it has no place for, as TGI does: at once, with 429."""

    async def generate(
        self, prompt: str, params: GenerateParams, *, timeout_s: float
    ) -> Generation | ModelError:
        if len(self.in_flight) >= PLACES:
            return Overloaded("full", status=429)
        return await super().generate(prompt, params, timeout_s=timeout_s)


async def answered_per_s(consumers: int) -> float:
    """How much of a backlog so many consumers get answered, each by its own pool."""
    server = FullServer(latency_s=ANSWER_S)
    options = PoolOptions(max_concurrency=EACH)
    pools = [
        Pool([(server.url, server.connect)], options, clock=LoopClock(), rand=lambda: 0.5)
        for _ in range(consumers)
    ]
    for pool in pools:
        await pool.start()
    backlogs = [asyncio.ensure_future(_backlog(pool)) for pool in pools]
    await asyncio.sleep(5.0)  # the limits grow
    before = len(server.answered)
    await asyncio.sleep(MEASURED_S)
    answered = len(server.answered) - before
    for backlog in backlogs:
        backlog.cancel()
    await asyncio.gather(*backlogs, return_exceptions=True)
    for pool in pools:
        await pool.aclose()
    return answered / MEASURED_S


async def _backlog(pool: Pool) -> None:
    texts = [f"post {number}" for number in range(4 * EACH)]
    while True:
        await pool.ask(prompts(*texts))


@simulated
async def test_consumers_add_up_until_the_server_is_full_and_more_do_no_harm() -> None:
    one, two, four, eight = [await answered_per_s(count) for count in (1, 2, 4, 8)]
    full = PLACES / ANSWER_S
    assert two > 1.95 * one
    assert four > 3.8 * one
    assert four > 0.95 * full
    assert eight > 0.9 * full
