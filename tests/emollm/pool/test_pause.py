"""A server that refused (429) rests for a moment; when that is over, it is asked again."""

import asyncio

from emollm.errors import FailedAlone, ModelError, Overloaded, Unavailable
from emollm.pool import PoolOptions
from emollm.protocol import Generation, Prompt
from tests.emollm.pool.fakes import (
    PARAMS,
    TEXTS,
    FakeServer,
    Started,
    echo,
    expected,
    prompts,
    texts_of,
    until,
)
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
async def test_a_slow_prompt_goes_to_a_second_server_once_that_has_rested() -> None:
    """With nothing else to ask, it waited for the first one's deadline."""
    servers = [FakeServer(url=f"http://{name}", info=WIDE, latency_s=0.01) for name in "ab"]
    async with Started(*servers) as pool:
        await pool.ask(prompts(*TEXTS))  # one second request is for twenty
        servers[0].gate.clear()
        pool._upstreams[1].limiter._limit = 0.0  # the first one gets it
        asking = asyncio.ensure_future(pool.ask(prompts("post")))
        await until(lambda: servers[0].in_flight == ["post"])
        pool._upstreams[1].limiter._limit = 16.0
        pool._upstreams[1].paused_until = pool._now() + 3.0
        async with asyncio.timeout(3.5):
            assert texts_of(await asking) == expected("post")


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


@simulated
async def test_a_prompt_whose_server_is_lost_before_it_was_sent_is_asked_of_another() -> None:
    """The worker that was woken for it found its server gone, and nobody else was woken."""
    servers = [FakeServer(url=f"http://{name}", info=WIDE, latency_s=0.01) for name in "ab"]
    async with Started(*servers) as pool:
        asking = asyncio.ensure_future(pool.ask(prompts("post")))
        await asyncio.sleep(0)
        (woken,) = (one for one in pool._upstreams if one.waking)
        servers[pool._upstreams.index(woken)].gate.clear()  # it doesn't come back
        pool._health.open(woken, Unavailable("reset", server=woken.url))
        async with asyncio.timeout(1.0):
            assert texts_of(await asking) == expected("post")


@simulated
async def test_a_refusal_of_a_condemned_posts_prompt_holds_up_no_other() -> None:
    """Its server rests then, too: what waits is asked when that is over."""
    server = FakeServer(info=WIDE, latency_s=0.01)

    async def answer(prompt: str) -> Generation | ModelError:
        await asyncio.sleep(0.01)
        if prompt == "condemned":
            pool._trials._condemned.put("post", FailedAlone("429"))
            return Overloaded("full", status=429)
        return echo(prompt)

    server._answer = answer  # type: ignore[method-assign]
    async with Started(server, options=PoolOptions(max_concurrency=1)) as pool:
        pool._upstreams[0].limiter._share = 1.0  # it refuses much: each refusal makes it rest
        poisoned = Prompt(text="condemned", params=PARAMS, task="V-reg", post="post")
        async with asyncio.timeout(30.0):
            answers = await pool.ask([poisoned, *prompts("other")])
        assert isinstance(answers[0], FailedAlone)
        assert str(answers[0]) == "429", "judged again, though its post is condemned"
        assert texts_of(answers[1:]) == expected("other")
