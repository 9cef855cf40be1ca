"""Slow requests go to a second server: no pause when one freezes, no storm when all are slow."""

import asyncio
import itertools
from collections import Counter

from emollm.errors import ModelError, Unavailable
from emollm.pool import BreakerState, PoolOptions
from emollm.protocol import Generation, Prompt, ServerInfo
from tests.emollm.pool.fakes import (
    HANG,
    PARAMS,
    FakeServer,
    Started,
    echo,
    expected,
    prompts,
    texts_of,
    until,
)
from tests.emollm.pool.simulation import simulated

INFO = ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=128)


def two_servers(latency_s: float = 0.4) -> tuple[FakeServer, FakeServer]:
    first, second = (
        FakeServer(url=url, info=INFO, latency_s=latency_s) for url in ("http://a", "http://b")
    )
    return first, second


@simulated
async def test_one_frozen_server_of_two_makes_no_gap() -> None:
    steady, frozen = two_servers()
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async with Started(steady, frozen) as pool:

        async def ask(number: int) -> None:
            asked = [
                Prompt(text=f"{number} {task}", params=PARAMS, task=task, post=str(number))
                for task in ("V-reg", "E-c", "EI-reg")
            ]
            answers = await pool.ask(asked, turn=number)
            assert not any(isinstance(answer, ModelError) for answer in answers)
            times.append(loop.time())

        asking = []
        for number in range(4_000):
            if number == 1_000:
                frozen.gate.clear()
            if number == 3_000:
                frozen.gate.set()
            asking.append(asyncio.ensure_future(ask(number)))
            await asyncio.sleep(0.01)
        await asyncio.gather(*asking)
        assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 2.0
        assert all(state.breaker is BreakerState.CLOSED for state in pool.servers())
    asked = Counter(steady.asked + frozen.asked)
    assert max(asked.values()) == 2, "one that was answered isn't asked again"
    extra = asked.total() - 12_000
    assert extra < 0.05 * 12_000


@simulated
async def test_a_breaker_that_opens_gives_its_prompts_to_the_others_at_once() -> None:
    steady, failing = two_servers(latency_s=0.01)
    async with Started(steady, failing) as pool:
        failing.gate.clear()
        asking = asyncio.ensure_future(pool.ask(prompts(*(f"post {n}" for n in range(150)))))
        await until(lambda: len(failing.in_flight) >= 60)
        held = set(failing.in_flight)
        # Five others fail there; what hangs is not waited for.
        pool._health.open(pool._upstreams[1], Unavailable("five in a row"))
        await asyncio.sleep(0)
        await until(lambda: not set(failing.in_flight) & held, within_s=0.01)
        await until(lambda: held <= set(steady.answered), within_s=2.0)
        texts = [f"post {n}" for n in range(150)]
        assert texts_of(await asking) == expected(*texts)


@simulated
async def test_with_one_server_nothing_is_recalled() -> None:
    only, _ = two_servers()
    async with Started(only) as pool:
        only.gate.clear()
        asking = asyncio.ensure_future(pool.ask(prompts("a", "b")))
        await until(lambda: len(only.in_flight) == 2)
        pool._health.open(pool._upstreams[0], Unavailable("five in a row"))
        await asyncio.sleep(1.0)
        assert only.cancelled == []
        only.gate.set()
        assert texts_of(await asking) == expected("a", "b")


@simulated
async def test_servers_that_are_all_slow_get_at_most_a_twentieth_more() -> None:
    first, second = two_servers(latency_s=0.05)
    async with Started(first, second, options=PoolOptions(timeout_s=30.0)) as pool:
        for number in range(10):
            await pool.ask(prompts(*(f"{number} {n}" for n in range(200))))
        before = len(first.asked) + len(second.asked)
        assert before == 2_000, "not one extra while none is slow"
        first.latency_s = second.latency_s = 6.0
        texts = [f"slow {n}" for n in range(1_000)]
        assert texts_of(await pool.ask(prompts(*texts))) == expected(*texts)
        extra = len(first.asked) + len(second.asked) - before - 1_000
        assert 0 < extra <= 0.05 * (before + 1_000 + extra)
        asked = first.asked[:] + second.asked
        assert max(asked.count(text) for text in texts) <= 2, "one extra request for a prompt"


@simulated
async def test_servers_that_are_slow_now_and_then_get_at_most_a_twentieth_more() -> None:
    """With one request in ten: each of these would be given to a second server."""
    first, second = two_servers()
    requests = itertools.count()

    async def answer(prompt: str) -> Generation | ModelError:
        await asyncio.sleep(20.0 if next(requests) % 10 == 0 else 0.1)
        return echo(prompt)

    async with Started(first, second) as pool:
        first._answer = second._answer = answer  # type: ignore[method-assign]
        asking = []
        for number in range(3_000):
            asking.append(asyncio.ensure_future(pool.ask(prompts(f"post {number}"))))
            await asyncio.sleep(0.01)
        for number, answers in enumerate(await asyncio.gather(*asking)):
            assert texts_of(answers) == expected(f"post {number}")
    asked = Counter(first.asked + second.asked)
    extra = asked.total() - 3_000
    assert 0.04 * asked.total() < extra <= 0.05 * asked.total()
    assert max(asked.values()) == 2, "one extra request for a prompt"


@simulated
async def test_the_slower_answer_is_called_off_and_the_faster_one_counts_once() -> None:
    first, second = two_servers()
    async with Started(first, second) as pool:
        slow = {"x"}
        await pool.ask(prompts(*map(str, range(20))))  # one in twenty may be an extra one

        async def late(prompt: str) -> Generation | ModelError:
            await asyncio.sleep(20.0 if prompt in slow else 0.1)
            slow.discard(prompt)
            return echo(prompt)

        first._answer = second._answer = late  # type: ignore[method-assign]
        asking = asyncio.ensure_future(pool.ask(prompts("x")))
        await until(lambda: len(first.in_flight) + len(second.in_flight) == 2, within_s=5.0)
        slow.clear()
        await until(lambda: first.cancelled == ["x"] or second.cancelled == ["x"], within_s=30.0)
        (answer,) = await asking
        assert not isinstance(answer, ModelError)
        assert answer.attempts == 2
        assert sum(state.in_flight for state in pool.servers()) == 0


@simulated
async def test_a_prompt_that_two_servers_were_slow_with_is_not_given_to_two_again() -> None:
    servers = two_servers(latency_s=0.05)
    for one in servers:
        one.reply = lambda text: HANG if text == "stuck" else echo(text)
    async with Started(*servers, options=PoolOptions(timeout_s=3.0)) as pool:
        stuck = asyncio.ensure_future(pool.ask(prompts("stuck")))
        others = []
        for number in range(160):  # eight seconds: it is asked in company for the third time
            others.append(asyncio.ensure_future(pool.ask(prompts(f"post {number}"))))
            await asyncio.sleep(0.05)
        assert sum(one.asked.count("stuck") for one in servers) == 2 + 1 + 1
        stuck.cancel()
        await asyncio.gather(*others)


@simulated
async def test_a_prompt_that_is_asked_alone_is_given_to_no_second_server() -> None:
    """The server that had it may have died of it: one that is slow with it is the only one."""
    servers = two_servers(latency_s=0.05)
    lost = iter([Unavailable("reset", lost=True)])

    async def answer(prompt: str) -> Generation | ModelError:
        if prompt != "deadly":
            await asyncio.sleep(0.05)
            return echo(prompt)
        if (error := next(lost, None)) is not None:
            return error
        await asyncio.sleep(20.0)
        return echo(prompt)

    for one in servers:
        one._answer = answer  # type: ignore[method-assign]
    async with Started(*servers) as pool:
        asking = asyncio.ensure_future(pool.ask(prompts("deadly")))
        others = []
        for number in range(200):
            others.append(asyncio.ensure_future(pool.ask(prompts(f"post {number}"))))
            await asyncio.sleep(0.05)
        assert texts_of(await asking) == expected("deadly")
        await asyncio.gather(*others)
    assert sum(one.asked.count("deadly") for one in servers) == 2


@simulated
async def test_a_request_that_was_just_called_off_is_not_given_to_a_second_server() -> None:
    """Its worker was called off once more, later, when it was idle: that ended the whole pool."""
    steady, frozen = two_servers()
    async with Started(steady, frozen) as pool:
        await pool.ask(prompts(*map(str, range(200))))  # one in twenty may be an extra one
        frozen.gate.clear()
        asking = asyncio.ensure_future(pool.ask(prompts(*(f"post {n}" for n in range(20)))))
        await asyncio.sleep(1.25)
        assert frozen.in_flight
        upstream = pool._upstreams[1]
        pool._health.open(upstream, Unavailable("reset", server=upstream.url))
        pool._second.look(pool._now() + 5.0)  # in the same turn of the event loop
        assert texts_of(await asking) == expected(*(f"post {n}" for n in range(20)))
        frozen.gate.set()
        await asyncio.sleep(60.0)
        assert texts_of(await pool.ask(prompts("later"))) == expected("later")
