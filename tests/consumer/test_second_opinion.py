"""A second model beside the first, in the whole consumer: outages, backlogs, and its own faults."""

import asyncio

import pytest
from structlog.testing import capture_logs

from consumer.settings import Second
from emollm.errors import FailedAlone, GenerationFailed, Unauthorized
from emollm.protocol import Generation
from tests.consumer.simulated import GONE, Consumer, consuming, readable, server, unless
from tests.emollm.pool.fakes import HANG, FakeServer
from tests.emollm.pool.simulation import simulated


def small(latency_s: float = 0.05, *, at_once: int = 128) -> FakeServer:
    return server(url="http://small", latency_s=latency_s, at_once=at_once)


def big(latency_s: float = 0.4, *, at_once: int = 128) -> FakeServer:
    return server(latency_s=latency_s, at_once=at_once, model="emollama")


def gone(one: FakeServer) -> None:
    """Have a server refuse everything."""
    one.reply = lambda _: GONE
    one.information = GONE


def back(one: FakeServer, model: FakeServer) -> None:
    one.reply = readable
    one.information = model.information


async def settled(consumer: Consumer, posts: int) -> list[str | None]:
    await consumer.finished(posts, within_s=600.0)
    assert consumer.seen.dead_letters == []
    assert consumer.not_alive == []
    return consumer.opinions()


@simulated
async def test_both_read_every_post_in_the_time_of_the_first() -> None:
    first = big()
    async with consuming(first, second=[small()]) as consumer:
        await consumer.posts(500, per_s=50.0)
        assert await settled(consumer, 500) == ["both"] * 500
        assert max(consumer.seen.ages) < 1.0  # two rounds of the first's 0.4 s
        assert len(first.asked) < 2.1 * 500  # and a canary


@simulated
async def test_a_second_that_is_gone_or_refuses_changes_nothing_but_the_opinion() -> None:
    for error in (GONE, Unauthorized("no", status=401)):
        other = small()
        async with consuming(big(), second=[other]) as consumer:
            await consumer.posts(100, per_s=50.0)
            working = other.information
            other.reply = lambda _, error=error: error  # type: ignore[misc]
            other.information = error
            await consumer.posts(300, per_s=50.0)
            other.reply, other.information = readable, working
            await asyncio.sleep(130.0)  # a refused key is tried again each minute
            await consumer.posts(100, per_s=50.0)
            opinions = await settled(consumer, 500)
            assert opinions[:50] == ["both"] * 50
            assert opinions[200:400].count("first") == 200
            assert opinions[-100:] == ["both"] * 100
            assert max(consumer.seen.ages) < 3.0


@simulated
async def test_a_frozen_second_delays_posts_by_no_more_than_its_bound() -> None:
    other = small()
    async with consuming(big(), second=[other]) as consumer:
        await consumer.posts(100, per_s=50.0)
        other.gate.clear()
        with capture_logs() as logs:
            await consumer.posts(600, per_s=50.0)
        assert [one["event"] for one in logs].count("second_model_late") == 1
        opinions = await settled(consumer, 700)
        assert "second" not in opinions
        # The bound, three rounds of the first, and the first's own queue.
        assert max(consumer.seen.ages) < 1.25 + 3 * 0.4 + 0.6
        assert consumer.told.missing["late"] > 0
        assert opinions[-300:] == ["first"] * 300
        other.gate.set()
        await consumer.posts(1_500, per_s=50.0, text="Later {}.".format)
        opinions = await settled(consumer, 2_200)
        assert opinions[-300:] == ["both"] * 300


@simulated
async def test_a_second_that_was_frozen_is_called_late_until_it_reads_most_posts_again() -> None:
    """A quiet stream: never are as many posts under way as a second in time has places."""
    other = small()
    async with consuming(big(), second=[other]) as consumer:
        other.gate.clear()
        await consumer.posts(40, per_s=2.0)
        (warning,) = consumer.health.warnings()
        assert "most posts are read without it" in warning
        other.gate.set()
        await asyncio.sleep(10.0)
        await consumer.posts(40, per_s=2.0, text="Later {}.".format)
        assert (await settled(consumer, 80))[-20:] == ["both"] * 20
        assert consumer.health.warnings() == []


@simulated
async def test_a_post_that_is_poison_for_the_second_is_the_firsts() -> None:
    other = server(unless({"poison": GenerationFailed("shard", status=424)}), url="http://small")
    async with consuming(big(), second=[other]) as consumer:
        await consumer.posts(
            400, per_s=20.0, text=lambda n: "poison" if n == 60 else f"Number {n}."
        )
        opinions = await settled(consumer, 400)
        assert opinions.count("first") <= 20
        assert opinions.count("both") >= 380
        assert max(consumer.seen.ages) < 4.0


@simulated
async def test_a_second_that_is_too_slow_reads_what_it_can_and_holds_up_little() -> None:
    """It answers 20 prompts a second, and is asked for 75."""
    async with consuming(big(), second=[small(0.4, at_once=8)]) as consumer:
        await consumer.posts(1_200, per_s=25.0)
        opinions = await settled(consumer, 1_200)
        later = opinions[400:]
        assert later.count("both") > 0.1 * len(later)
        assert consumer.told.missing["busy"] > consumer.told.missing["late"]
        assert sorted(consumer.seen.ages)[int(0.95 * 1_200)] < 3.5


@simulated
async def test_while_no_first_server_is_there_posts_wait_by_default() -> None:
    first, other = big(), small()
    async with consuming(first, second=[other]) as consumer:
        await consumer.posts(100, per_s=50.0)
        gone(first)
        await consumer.posts(300, per_s=20.0)
        assert len(consumer.seen.at) < 200
        back(first, big())
        opinions = await settled(consumer, 400)
        assert "second" not in opinions


@simulated
async def test_the_second_stands_in_for_an_outage_and_the_first_is_back_by_itself() -> None:
    first = big()
    async with consuming(first, second=[small()], options=Second(on_outage="second")) as consumer:
        await consumer.posts(100, per_s=50.0)
        gone(first)
        await consumer.posts(1_000, per_s=50.0)
        await asyncio.sleep(5.0)
        assert len(consumer.seen.at) == 1_100
        assert not consumer.health.not_ready()
        back(first, big())
        await asyncio.sleep(5.0)
        await consumer.posts(100, per_s=50.0)
        opinions = await settled(consumer, 1_200)
        assert opinions[:70] == ["both"] * 70
        assert opinions.count("second") >= 950
        assert opinions[-100:] == ["both"] * 100
        assert max(consumer.seen.ages) < 8.0


@simulated
async def test_a_second_that_goes_in_an_outage_stops_the_stream_until_one_is_back() -> None:
    first, other = big(), small()
    async with consuming(first, second=[other], options=Second(on_outage="second")) as consumer:
        gone(first)
        await consumer.posts(200, per_s=50.0)
        gone(other)
        await consumer.posts(200, per_s=50.0)
        finished = len(consumer.seen.at)
        assert finished < 350
        await asyncio.sleep(60.0)
        assert len(consumer.seen.at) < 400
        back(other, small())
        opinions = await settled(consumer, 400)
        assert opinions.count("second") >= 300


@simulated
async def test_a_first_that_is_gone_from_the_start_is_stood_in_for() -> None:
    first = big()
    gone(first)
    async with consuming(first, second=[small()], options=Second(on_outage="second")) as consumer:
        await consumer.posts(100, per_s=50.0)
        assert await settled(consumer, 100) == ["second"] * 100
        back(first, big())
        await asyncio.sleep(5.0)
        await consumer.posts(100, per_s=50.0)
        assert (await settled(consumer, 200))[100:] == ["both"] * 100


@simulated
async def test_a_backlog_is_held_near_its_bound_by_shedding_which_ends_by_itself() -> None:
    """The first takes 5 posts a second (two prompts each, 2 at once, 0.2 s) and gets 10."""
    bound = 10.0
    async with consuming(
        big(0.2, at_once=2), second=[small()], options=Second(shed_above_age_s=bound)
    ) as consumer:
        await consumer.posts(60, per_s=3.0)
        assert consumer.told.shed_posts == 0
        await consumer.posts(1_500, per_s=10.0)
        held = consumer.seen.ages[-800:]
        assert max(held) < 1.5 * bound
        shares = consumer.told.shares[-300:]
        assert 0.4 < sum(shares) / len(shares) < 0.6  # half is what it takes
        await consumer.posts(150, per_s=2.0)
        assert consumer.told.shares[-1] == 0.0
        opinions = await settled(consumer, 1_710)
        assert opinions[-50:] == ["both"] * 50


@pytest.mark.parametrize("answer", [HANG, FailedAlone("thrice"), Generation(text="banana")])
@simulated
async def test_no_fault_of_the_second_alone_is_a_dead_letter(
    answer: Generation | FailedAlone,
) -> None:
    """The second stands in, and can't read one post: it waits for the first."""
    first = big()
    other = server(unless({"poison": answer}), url="http://small", latency_s=0.05)
    async with consuming(first, second=[other], options=Second(on_outage="second")) as consumer:
        gone(first)
        await asyncio.sleep(5.0)
        await consumer.posts(
            200, per_s=20.0, text=lambda n: "poison" if n == 60 else f"Number {n}."
        )
        await consumer.wait(200)
        assert len(consumer.seen.at) == 199
        back(first, big())
        opinions = await settled(consumer, 200)
        assert opinions[-1] in {"first", "both"}
