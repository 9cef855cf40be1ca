"""The pool: nothing is lost, nothing waits in vain, nothing is blamed for bad luck."""

import asyncio
from collections import defaultdict
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from emollm.clients import events
from emollm.errors import (
    FailedAlone,
    GenerationFailed,
    ModelError,
    Overloaded,
    Refused,
    Stop,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from emollm.pool import BreakerState, Pool, PoolClosed, PoolOptions
from emollm.pool.breaker import CONSECUTIVE
from emollm.pool.roster import OUT_DELAY_S, PROBE_TEXT
from emollm.protocol import Generation, PoolAnswer, Prompt, ServerInfo
from tests.emollm.pool.fakes import (
    INFO,
    PARAMS,
    TEXTS,
    FakeClock,
    FakeServer,
    Started,
    Watcher,
    echo,
    expected,
    prompts,
    texts_of,
    until,
)


async def test_answers_come_in_the_order_of_the_prompts() -> None:
    server = FakeServer()
    async with Started(server) as pool:
        mixed = [
            Prompt(text=text, params=PARAMS, task=("V-reg", "E-c", "EI-reg")[number % 3])
            for number, text in enumerate(TEXTS)
        ]
        answers = await pool.ask(mixed)
        assert texts_of(answers) == expected(*TEXTS)
        assert await pool.ask([]) == []
    first = answers[0]
    assert first == PoolAnswer(text="re: post 0", server="http://gpu", attempts=1)


async def test_prompts_of_one_task_go_out_together_and_by_length_where_padded() -> None:
    server = FakeServer(info=ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=1))
    async with Started(server, options=PoolOptions(padded=True)) as pool:
        mixed = [
            Prompt(text=text, params=PARAMS, task=task)
            for text, task in (("ccc", "b"), ("c", "a"), ("cc", "b"), ("cccc", "a"), ("c", "b"))
        ]
        await pool.ask(mixed)
    assert server.asked == ["c", "cccc", "c", "cc", "ccc"]


async def test_a_server_never_has_more_in_flight_than_it_takes() -> None:
    server = FakeServer(info=ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=8))
    async with Started(server) as pool:
        for _ in range(20):
            await pool.ask(prompts(*TEXTS))
        assert server.most_in_flight == 8  # grown from half of it, and not beyond
        assert pool.servers()[0].limit == 8


async def test_two_servers_share_the_load() -> None:
    servers = [FakeServer(url=url) for url in ("http://a", "http://b")]
    async with Started(*servers) as pool:
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)
    assert all(60 <= len(server.answered) <= 140 for server in servers)


async def test_a_429_lowers_the_limit_and_answers_raise_it_again() -> None:
    clock, watcher = FakeClock(), Watcher()
    full = 4

    def reply(prompt: str) -> Generation | ModelError:
        return Overloaded("full") if len(server.in_flight) > full else echo(prompt)

    server = FakeServer(reply, clock=clock)
    async with Started(server, clock=clock, observer=watcher) as pool:
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)
        low = pool.servers()[0].limit
        assert low <= full + 1
        full = 1000
        for _ in range(10):
            await pool.ask(prompts(*TEXTS))
        assert pool.servers()[0].limit > 2 * low
        assert pool.available
    assert watcher.outcomes["answered"] == 11 * len(TEXTS)
    assert watcher.outcomes["Overloaded"] < 150, "it kept hammering a full server"
    assert BreakerState.OPEN not in watcher.breakers["http://gpu"]


async def test_a_server_full_of_others_work_is_asked_ever_more_rarely() -> None:
    clock = FakeClock(running=False)
    server = FakeServer()
    async with Started(server, clock=clock) as pool:
        server.reply = lambda _: Overloaded("full")
        asking = asyncio.ensure_future(pool.ask(prompts("x")))
        for _ in range(12):
            await until(lambda: clock.sleeping == 1)
            clock.advance(2.0)
        assert 12 <= len(server.asked) <= 12 + 19, "19 in a row show that it is full"
        server.reply = echo
        assert texts_of(await asking) == ["re: x"]


async def test_when_one_of_two_servers_dies_the_other_answers_everything() -> None:
    clock = FakeClock(running=False)
    dying, living = FakeServer(url="http://a"), FakeServer(url="http://b")
    async with Started(dying, living, clock=clock) as pool:
        dying.gate.clear()
        asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS)))
        await until(lambda: len(dying.in_flight) == 16)
        dying.reply = lambda _: Unavailable("connection reset")
        dying.information = Unavailable("connection refused")
        dying.gate.set()
        assert texts_of(await asking) == expected(*TEXTS)
        assert pool.available
        assert [state.breaker for state in pool.servers()] == [
            BreakerState.OPEN,
            BreakerState.CLOSED,
        ]
        assert len(dying.asked) <= 16 + CONSECUTIVE


async def test_all_servers_down_and_back_loses_nothing_and_keeps_the_order() -> None:
    clock = FakeClock(running=False)
    servers = [FakeServer(url=url) for url in ("http://a", "http://b")]
    async with Started(*servers, clock=clock) as pool:
        for server in servers:
            server.reply = lambda _: Unavailable("connection refused")
            server.information = Unavailable("connection refused")
        asking = [asyncio.ensure_future(pool.ask(prompts(*TEXTS[n::4]))) for n in range(4)]
        await until(lambda: not pool.available)
        waiting = asyncio.ensure_future(pool.wait_available())
        for _ in range(50):  # minutes
            await until(lambda: clock.sleeping == 2)
            clock.advance(10.0)
        assert not any(task.done() for task in (*asking, waiting))
        servers[1].reply, servers[1].information = echo, INFO
        await waiting
        for number, task in enumerate(asking):
            assert texts_of(await task) == expected(*TEXTS[number::4])


async def test_a_health_that_says_yes_closes_no_breaker() -> None:
    clock = FakeClock(running=False)
    server = FakeServer()
    async with Started(server, clock=clock) as pool:
        server.reply = lambda _: TimedOut("hangs, though /info and /health answer")
        asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS[:16])))
        await until(lambda: not pool.available)
        for _ in range(10):
            await until(lambda: clock.sleeping == 1)
            clock.advance(10.0)
        await until(lambda: clock.sleeping == 1)
        assert not pool.available
        server.reply = echo
        clock.advance(10.0)
        assert texts_of(await asking) == expected(*TEXTS[:16])


async def test_the_innocents_of_a_failing_batch_are_answered_and_the_poison_is_isolated() -> None:
    def reply(prompt: str) -> Generation | ModelError:
        return GenerationFailed("shard failed", status=424) if "poison" in prompt else echo(prompt)

    server = FakeServer(reply, batched=True)
    async with Started(server) as pool:
        innocents = TEXTS[:40]
        with capture_logs() as logs:
            answers = await pool.ask(prompts(*innocents[:20], "poison", *innocents[20:]))
        culprit = answers.pop(20)
    assert isinstance(culprit, FailedAlone)
    assert "GenerationFailed" in str(culprit)
    assert "poison" not in str(culprit)
    assert culprit.status == 424
    assert texts_of(answers) == expected(*innocents)
    assert server.company["poison"][-2:] == [1, 1], "it was condemned in company"
    assert [log["error"] for log in logs if log["event"] == events.PROMPT_ISOLATED] == [
        "GenerationFailed"
    ]


async def test_a_prompt_that_only_ever_times_out_is_given_up() -> None:
    def reply(prompt: str) -> Generation | ModelError:
        return TimedOut("30 s") if prompt == "endless" else echo(prompt)

    server = FakeServer(reply)
    async with Started(server) as pool:
        answers = await pool.ask(prompts(*TEXTS, "endless"))
    assert isinstance(answers.pop(), FailedAlone)
    assert texts_of(answers) == expected(*TEXTS)
    assert server.asked.count("endless") == 5


async def test_no_prompt_is_condemned_by_a_server_that_fails_at_random() -> None:
    # Truncated JSON for a third of the answers: at two failures alone, some were.
    rng = Random(3)

    def reply(prompt: str) -> Generation | ModelError:
        if rng.random() < 0.3:
            return Unavailable("status 200, but no answer in it", status=200)
        return echo(prompt)

    server = FakeServer(reply)
    async with Started(server) as pool:
        for _ in range(20):
            assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)


async def test_a_prompt_that_kills_the_server_each_time_is_given_up() -> None:
    down = 0

    def reply(prompt: str) -> Generation | ModelError:
        nonlocal down
        if prompt == "death":
            down = 3
        if down:
            down -= 1
            return Unavailable("connection reset")
        return echo(prompt)

    server = FakeServer(reply)
    async with Started(server) as pool:
        answers = await pool.ask(prompts(*TEXTS[:20], "death"))
    assert isinstance(answers.pop(), FailedAlone)
    assert texts_of(answers) == expected(*TEXTS[:20])


async def test_a_dead_shard_dead_letters_nothing() -> None:
    clock = FakeClock()
    server = FakeServer(clock=clock)
    async with Started(server, clock=clock) as pool:
        failures = 0

        def reply(prompt: str) -> Generation | ModelError:  # 424 to all, /info still answers
            nonlocal failures
            failures += 1
            return GenerationFailed("shard is dead", status=424)

        server.reply = reply
        asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS[:50])))
        await until(lambda: failures > 500)
        server.reply = echo
        assert texts_of(await asking) == expected(*TEXTS[:50])


async def test_a_refused_prompt_is_not_asked_twice() -> None:
    def reply(prompt: str) -> Generation | ModelError:
        return Refused("too long", status=422) if prompt == "long" else echo(prompt)

    server = FakeServer(reply)
    async with Started(server) as pool:
        answers = await pool.ask(prompts("a", "long", "b"))
    assert isinstance(answers.pop(1), Refused)
    assert texts_of(answers) == expected("a", "b")
    assert server.asked.count("long") == 1


async def test_a_key_refused_by_all_servers_stops_every_ask() -> None:
    servers = [FakeServer(url=url) for url in ("http://a", "http://b")]
    async with Started(*servers, clock=FakeClock(running=False)) as pool:
        for server in servers:
            server.reply = lambda _: Unauthorized("/generate: status 401", status=401)
        asking = [asyncio.ensure_future(pool.ask(prompts(*TEXTS))) for _ in range(3)]
        for task in asking:
            with pytest.raises(Unauthorized, match="401"):
                await task
        with pytest.raises(Stop):
            await pool.ask(prompts("later"))
        with pytest.raises(Stop):
            await pool.wait_available()
        assert not pool.available


async def test_one_server_that_refuses_the_key_is_out_until_it_is_mended() -> None:
    clock = FakeClock(running=False)
    bad, good = FakeServer(url="http://a"), FakeServer(url="http://b")
    async with Started(bad, good, clock=clock) as pool:
        bad.reply = lambda _: Unauthorized("/generate: status 401", status=401)
        with capture_logs() as logs:
            assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)
        out = [log for log in logs if log["event"] == events.SERVER_OUT]
        assert [(log["server"], log["log_level"]) for log in out] == [("http://a", "error")]
        assert pool.servers()[0].out == "/generate: status 401"
        bad.reply = echo
        await until(lambda: clock.sleeping == 1)
        clock.advance(OUT_DELAY_S)
        await until(lambda: pool.servers()[0].breaker is BreakerState.CLOSED)
        assert pool.servers()[0].out is None


async def test_a_gateway_that_forbids_one_text_stops_nothing() -> None:
    def reply(prompt: str) -> Generation | ModelError:
        return Unauthorized("403", status=403) if "<script>" in prompt else echo(prompt)

    async with Started(FakeServer(reply)) as pool:
        answers = await pool.ask(prompts(*TEXTS[:20], "<script>"))
        refused = answers.pop()
        assert isinstance(refused, Refused)
        assert refused.status == 403
        assert texts_of(answers) == expected(*TEXTS[:20])


async def test_a_key_refused_for_a_moment_dead_letters_nothing() -> None:
    """It was renewed between the prompt and the harmless one that was asked to judge it."""
    server = FakeServer()
    refusals = [Unauthorized("401", status=401)]
    async with Started(server) as pool:
        server.reply = lambda prompt: refusals.pop() if refusals else echo(prompt)
        assert texts_of(await pool.ask(prompts(*TEXTS[:20]))) == expected(*TEXTS[:20])


async def test_who_began_first_is_served_first() -> None:
    server = FakeServer(info=ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=1))
    async with Started(server) as pool:
        server.gate.clear()
        asking = []
        for turn, name in ((2, "second"), (3, "third"), (1, "first"), (2, "also second")):
            texts = [f"{name} {number}" for number in range(3)]
            asking.append(asyncio.ensure_future(pool.ask(prompts(*texts), turn=turn)))
            await asyncio.sleep(0)
        await until(lambda: bool(server.in_flight))
        server.gate.set()
        await asyncio.gather(*asking)
    # One was on its way when the others came.
    names = [text.rpartition(" ")[0] for text in server.asked if text != PROBE_TEXT][1:]
    assert names == ["first"] * 3 + ["second"] * 2 + ["also second"] * 3 + ["third"] * 3


async def test_cancelling_an_ask_frees_its_places_and_nothing_else() -> None:
    server = FakeServer(info=ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=8))
    async with Started(server) as pool:
        server.gate.clear()
        gone = asyncio.ensure_future(pool.ask(prompts(*(f"gone {text}" for text in TEXTS))))
        await until(lambda: len(server.in_flight) == 4)
        kept = asyncio.ensure_future(pool.ask(prompts(*TEXTS[:20])))
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        await until(lambda: len(server.cancelled) == 4)
        server.gate.set()
        assert texts_of(await kept) == expected(*TEXTS[:20])
        assert sum(text.startswith("gone") for text in server.asked) == 4
        assert pool.servers()[0].in_flight == 0
        assert texts_of(await pool.ask(prompts("after"))) == expected("after")


@pytest.mark.parametrize(("text", "times"), [("endless", 2), (PROBE_TEXT, 1), ("endless", 3)])
async def test_cancelling_while_a_prompt_is_judged_leaves_the_server_usable(
    text: str, times: int
) -> None:
    server = FakeServer(lambda text: TimedOut("30 s") if text == "endless" else echo(text))
    async with Started(server) as pool:
        asking = asyncio.ensure_future(pool.ask(prompts("endless")))
        await until(lambda: server.asked.count(text) == times)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: server.cancelled == [text])
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)


async def test_closing_abandons_what_is_in_flight_at_once() -> None:
    server = FakeServer()
    async with Started(server) as pool:
        server.gate.clear()
        asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS)))
        await until(lambda: len(server.in_flight) == 16)
        await pool.aclose()
        with pytest.raises(PoolClosed):
            await asking
        assert len(server.cancelled) == 16
        with pytest.raises(PoolClosed):
            await pool.ask(prompts("late"))
        await pool.aclose()


async def test_a_bug_in_a_client_surfaces_instead_of_hanging() -> None:
    server = FakeServer()
    async with Started(server) as pool:
        server.reply = lambda _: 1 / 0  # type: ignore[assignment, return-value]
        with pytest.raises(ZeroDivisionError):
            await pool.ask(prompts("x"))


async def test_observers_see_each_request_once() -> None:
    watcher = Watcher()
    replies = iter([Overloaded("x"), GenerationFailed("x"), Unavailable("x")])
    server = FakeServer()
    async with Started(server, observer=watcher) as pool:
        server.reply = lambda text: next(replies, echo(text))
        answers = await pool.ask(prompts("x"))
    assert answers == [PoolAnswer(text="re: x", server="http://gpu", attempts=4)]
    assert watcher.outcomes == {
        "Overloaded": 1, "GenerationFailed": 1, "Unavailable": 1, "answered": 1,
    }  # fmt: skip


OUTCOMES = {"o": Overloaded, "g": GenerationFailed, "u": Unavailable, "t": TimedOut}
BAD_LUCK = st.sampled_from(["", "", "", "o", "oo", "ooooo", "g", "u", "gu", "go", "t", "ot", "uo"])


@settings(deadline=None, max_examples=60)
@given(
    waves=st.lists(
        st.tuples(st.lists(BAD_LUCK, max_size=30), st.none() | st.integers(0, 60)),
        min_size=1,
        max_size=6,
    ),
    servers=st.integers(1, 3),
    concurrency=st.integers(1, 40),
    padded=st.booleans(),
)
def test_whatever_fails_or_is_cancelled_every_other_prompt_is_answered_in_its_place(
    waves: list[tuple[list[str], int | None]], servers: int, concurrency: int, *, padded: bool
) -> None:
    left: dict[str, list[str]] = defaultdict(list)

    def reply(prompt: str) -> Generation | ModelError:
        return OUTCOMES[left[prompt].pop()]("bad luck") if left[prompt] else echo(prompt)

    async def ask(pool: Pool, texts: list[str], patience: int | None) -> None:
        asking = asyncio.ensure_future(pool.ask(prompts(*texts)))
        if patience is not None:
            for _ in range(patience):
                await asyncio.sleep(0)
            asking.cancel()
        try:
            assert texts_of(await asking) == expected(*texts)
        except asyncio.CancelledError:
            assert patience is not None

    async def scenario() -> None:
        info = ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=concurrency)
        fakes = [FakeServer(reply, url=f"http://{n}", info=info) for n in range(servers)]
        async with Started(*fakes, options=PoolOptions(padded=padded)) as pool:
            asked = []
            for number, (wave, patience) in enumerate(waves):
                texts = [f"{number}/{index}" for index in range(len(wave))]
                left.update(zip(texts, map(list, wave), strict=True))
                asked.append(ask(pool, texts, patience))
            await asyncio.wait_for(asyncio.gather(*asked), 10.0)
            await until(lambda: not any(server.in_flight for server in fakes))
            assert all(server.most_in_flight <= concurrency for server in fakes)
            assert all(state.in_flight == 0 for state in pool.servers())
            assert len(pool._queue) == 0
            assert not pool._suspects
            assert not pool._waves
            assert pool._trial is None
            assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)

    asyncio.run(scenario())
