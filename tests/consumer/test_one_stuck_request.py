"""What a stuck request, a poison post or a bad server holds up: nothing but itself.

The whole consumer, from Kafka's records to acknowledged events, in simulated time.
"""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from emollm.errors import GenerationFailed, ModelError, Overloaded
from emollm.protocol import Generation
from tests.consumer.simulated import consuming, readable, server, unless
from tests.emollm.pool.fakes import HANG
from tests.emollm.pool.simulation import simulated

POISON: dict[str, Generation | ModelError] = {
    "429": Overloaded("rate limit", status=429),
    "424": GenerationFailed("shard", status=424),
    "500": GenerationFailed("incomplete", status=500),
    "hang": HANG,
    "unreadable": Generation(text="banana"),
}


@simulated
async def test_one_frozen_server_of_two_leaves_no_gap_of_two_seconds() -> None:
    servers = [server(url="http://a"), server(url="http://b")]
    loop = asyncio.get_running_loop()
    async with consuming(*servers) as consumer:

        async def freeze() -> None:
            await asyncio.sleep(3.0)
            servers[0].gate.clear()
            await asyncio.sleep(20.0)
            servers[0].gate.set()

        freezing = asyncio.ensure_future(freeze())
        await consumer.posts(2_500, per_s=100.0)
        until = loop.time()
        await consumer.finished(2_500)
        await freezing
        assert consumer.seen.longest_gap_s(until) < 2.0
        assert consumer.seen.dead_letters == []
        assert consumer.not_alive == []


@simulated
async def test_posts_of_a_batch_are_published_while_one_of_them_is_stuck() -> None:
    """One server, so that there is no other one to ask."""
    async with consuming(server(unless({"stuck": HANG}), latency_s=0.1)) as consumer:
        await consumer.posts(
            50, per_s=1_000.0, text=lambda n: "stuck" if n == 10 else f"Number {n}."
        )
        await consumer.finished(49, within_s=5.0)
        assert len(consumer.seen.at) == 49


@pytest.mark.parametrize("kind", POISON)
@simulated
async def test_a_poison_post_of_any_kind_leaves_no_gap_of_eight_seconds(kind: str) -> None:
    loop = asyncio.get_running_loop()
    async with consuming(server(unless({"poison": POISON[kind]})), timeout_s=3.0) as consumer:
        await consumer.posts(
            800, per_s=20.0, text=lambda n: "poison" if n == 60 else f"Number {n}."
        )
        until = loop.time()
        await consumer.finished(800)
        assert consumer.seen.longest_gap_s(until) < 8.0
        verdict = "Unanswered" if kind == "unreadable" else "FailedAlone"
        assert consumer.seen.dead_letters == [verdict]
        assert consumer.not_alive == []


@simulated
async def test_poison_posts_of_every_kind_at_once_leave_no_gap_of_eight_seconds() -> None:
    said = {f"poison-{kind}": answer for kind, answer in POISON.items()}
    loop = asyncio.get_running_loop()
    kinds = list(POISON)

    def text(number: int) -> str:
        which, is_poison = divmod(number - 60, 20)
        if is_poison == 0 and 0 <= which < len(kinds):
            return f"poison-{kinds[which]}"
        return f"Number {number}."

    async with consuming(server(unless(said)), timeout_s=3.0) as consumer:
        await consumer.posts(2_000, per_s=20.0, text=text)
        until = loop.time()
        await consumer.finished(2_000)
        assert consumer.seen.longest_gap_s(until) < 8.0
        assert sorted(consumer.seen.dead_letters) == ["FailedAlone"] * 4 + ["Unanswered"]
        assert consumer.not_alive == []


@simulated
async def test_poison_posts_that_are_all_that_is_left_are_judged_and_no_reason_to_restart() -> None:
    """With the default deadline: the last answers are minutes apart."""
    async with consuming(server(unless({"poison": HANG}))) as consumer:
        await consumer.posts(20, per_s=20.0, text=lambda n: f"poison {n}" if n % 5 == 0 else f"{n}")
        await consumer.finished(20, within_s=3_600.0)
        assert consumer.seen.dead_letters == ["FailedAlone"] * 4
        assert consumer.not_alive == []


def failing(rng: Random) -> Callable[[str], Generation | ModelError]:
    def reply(prompt: str) -> Generation | ModelError:
        if rng.random() >= 0.3:
            return readable(prompt)
        return POISON[rng.choice(("429", "500", "hang"))]

    return reply


@simulated
async def test_ten_minutes_of_a_server_that_fails_at_random_dead_letter_nothing() -> None:
    """30 % of all requests, whatever they ask: 429, 500 or silence."""
    rng = Random(1)
    async with consuming(server(failing(rng)), timeout_s=3.0, rand=rng.random) as consumer:
        await consumer.posts(1_200, per_s=2.0)
        await consumer.finished(1_200, within_s=600.0)
        assert consumer.seen.dead_letters == []
        assert consumer.not_alive == []
