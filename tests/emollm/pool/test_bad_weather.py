"""Servers that fail at random while calls come and go: the pool goes on, and answers everything.

Slow requests are looked for at the worst of moments as well: right after a server was lost or a
call was abandoned, before the workers have heard of it.
"""

import asyncio
import random
from functools import partial

import pytest

import emollm.pool.second_server
from emollm.errors import ModelError
from emollm.pool import Pool, PoolOptions
from emollm.pool.queue import Call
from emollm.pool.upstream import Upstream
from emollm.protocol import PoolAnswer, Prompt
from tests.emollm.pool.fakes import PARAMS, Started
from tests.emollm.pool.simulation import simulated
from tests.emollm.pool.weather import WEATHER, Server

CALLS = 150


@pytest.fixture(autouse=True)
def _looks_at_the_worst_of_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emollm.pool.second_server, "EXTRA_SHARE", 1.0)
    monkeypatch.setattr(emollm.pool.second_server, "EXTRA_SAVED", 1_000.0)
    lost, forget = Pool.server_lost, Pool.forget

    def then_look(pool: Pool) -> None:
        pool._second.look(pool._now() + 10.0)

    def server_lost(pool: Pool, upstream: Upstream) -> None:
        lost(pool, upstream)
        then_look(pool)

    def forgotten(pool: Pool, call: Call) -> None:
        forget(pool, call)
        then_look(pool)

    monkeypatch.setattr(Pool, "server_lost", server_lost)
    monkeypatch.setattr(Pool, "forget", forgotten)


async def _change(servers: list[Server], pool: Pool, draw: random.Random) -> None:
    while True:
        await asyncio.sleep(draw.expovariate(0.5))
        draw.choice(servers).change(draw.choice(["fine", *WEATHER]))
        if draw.random() < 0.05:
            pool.suspect_model()


async def _call(pool: Pool, number: int, draw: random.Random) -> None:
    """Ask some prompts, some of them later; abandon one call of five."""
    prompts = [
        Prompt(
            text=f"post {number} {index}",
            params=PARAMS,
            task=draw.choice(["V-reg", "E-c", "EI-reg"]),
            post=f"{number} {index // 3}",
        )
        for index in range(draw.randrange(1, 12))
    ]
    loop = asyncio.get_running_loop()
    answers: dict[int, PoolAnswer | ModelError] = {}
    finished: asyncio.Future[None] = loop.create_future()

    def on_answer(index: int, answer: PoolAnswer | ModelError) -> None:
        assert index not in answers, "one answer for each"
        answers[index] = answer
        if len(answers) == len(prompts):
            finished.set_result(None)

    call = pool.open_call(on_answer, finished.set_exception, turn=number // 7)
    first = draw.randrange(1, len(prompts) + 1)
    call.send(prompts[:first])
    loop.call_later(draw.random(), call.send, prompts[first:])
    try:
        if draw.random() < 0.2:
            await asyncio.wait([finished], timeout=4 * draw.random())
        else:
            await finished
    finally:
        call.close()
    for index, answer in answers.items():
        if isinstance(answer, PoolAnswer):
            assert answer.text == f"re: {prompts[index].text}"


@pytest.mark.parametrize("seed", range(12))
def test_every_prompt_that_is_waited_for_is_answered_once_whatever_the_servers_do(
    seed: int,
) -> None:
    simulated(partial(_in_bad_weather, random.Random(seed)))()


async def _in_bad_weather(draw: random.Random) -> None:
    servers = [Server(f"http://{name}", draw) for name in "abc"[: draw.choice([1, 2, 2, 3])]]
    options = PoolOptions(timeout_s=draw.choice([3.0, 30.0]))
    async with Started(*servers, options=options) as pool:
        changing = asyncio.ensure_future(_change(servers, pool, draw))
        calls = []
        for number in range(CALLS):
            calls.append(asyncio.ensure_future(_call(pool, number, draw)))
            await asyncio.sleep(draw.expovariate(6.0))
        changing.cancel()
        for server in servers:
            server.change("fine")
        async with asyncio.timeout(600.0):
            await asyncio.gather(*calls)
        await asyncio.gather(changing, return_exceptions=True)
