"""The pool: nothing is lost, nothing waits in vain, nothing is blamed for bad luck."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable

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
    Unavailable,
)
from emollm.pool import BreakerState, Pool, PoolBroken, PoolClosed, PoolOptions
from emollm.pool.breaker import CONSECUTIVE
from emollm.pool.health import PROBE_TEXT
from emollm.protocol import Generation, PoolAnswer, Prompt, ServerInfo
from tests.emollm.pool.fakes import (
    HANG,
    INFO,
    PARAMS,
    TEXTS,
    FakeServer,
    Started,
    Watcher,
    echo,
    expected,
    prompts,
    texts_of,
    until,
)
from tests.emollm.pool.simulation import run, simulated


@simulated
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


@simulated
async def test_prompts_of_one_task_go_out_together_and_by_length_where_servers_pad() -> None:
    server = FakeServer(info=ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=1))
    async with Started(server, options=PoolOptions(by_length=lambda _: True)) as pool:
        mixed = [
            Prompt(text=text, params=PARAMS, task=task)
            for text, task in (("ccc", "b"), ("c", "a"), ("cc", "b"), ("cccc", "a"), ("c", "b"))
        ]
        await pool.ask(mixed)
    assert server.asked == ["c", "cccc", "c", "cc", "ccc"]


@simulated
async def test_a_server_never_has_more_in_flight_than_it_takes() -> None:
    server = FakeServer(info=ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=8))
    async with Started(server) as pool:
        for _ in range(20):
            await pool.ask(prompts(*TEXTS))
        assert server.most_in_flight == 8  # grown from half of it, and not beyond
        assert pool.servers()[0].limit == 8


@simulated
async def test_two_servers_share_the_load() -> None:
    servers = [FakeServer(url=url) for url in ("http://a", "http://b")]
    async with Started(*servers) as pool:
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)
    assert all(60 <= len(server.answered) <= 140 for server in servers)


@simulated
async def test_a_429_lowers_the_limit_and_answers_raise_it_again() -> None:
    watcher = Watcher()
    full = 4

    def reply(prompt: str) -> Generation | ModelError:
        return Overloaded("full") if len(server.in_flight) > full else echo(prompt)

    server = FakeServer(reply)
    async with Started(server, observer=watcher) as pool:
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


@simulated
async def test_a_server_full_of_others_work_is_asked_ever_more_rarely() -> None:
    server = FakeServer()
    async with Started(server) as pool:
        server.reply = lambda _: Overloaded("full")
        with capture_logs() as logs:
            asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS[:100])))
            await asyncio.sleep(60.0)
        first = len(server.asked)
        assert first < 450, "about seven requests a second, of a hundred prompts"
        await asyncio.sleep(60.0)
        assert len(server.asked) - first < 150
        assert [log["event"] for log in logs].count(events.SERVER_FULL) == 1
        assert pool.available, "overload is waiting, not death"
        assert "busy" in (pool.servers()[0].problem or "")
        server.reply = echo
        assert texts_of(await asking) == expected(*TEXTS[:100])


@simulated
async def test_when_one_of_two_servers_dies_the_other_answers_everything() -> None:
    dying, living = FakeServer(url="http://a"), FakeServer(url="http://b")
    async with Started(dying, living) as pool:
        dying.gate.clear()
        asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS)))
        await until(lambda: len(dying.in_flight) == 16)
        dying.reply = lambda _: Unavailable("connection reset", lost=True)
        dying.information = Unavailable("connection refused", unsent=True)
        dying.gate.set()
        assert texts_of(await asking) == expected(*TEXTS)
        assert pool.available
        assert [state.breaker for state in pool.servers()] == [
            BreakerState.OPEN,
            BreakerState.CLOSED,
        ]
        assert len(dying.asked) <= 16 + CONSECUTIVE


@simulated
async def test_all_servers_down_and_back_loses_nothing_and_keeps_the_order() -> None:
    servers = [FakeServer(url=url) for url in ("http://a", "http://b")]
    async with Started(*servers) as pool:
        for server in servers:
            server.reply = lambda _: Unavailable("connection refused", unsent=True)
            server.information = Unavailable("connection refused", unsent=True)
        asking = [asyncio.ensure_future(pool.ask(prompts(*TEXTS[n::4]))) for n in range(4)]
        await until(lambda: not pool.available)
        waiting = asyncio.ensure_future(pool.wait_available())
        await asyncio.sleep(600.0)
        assert not any(task.done() for task in (*asking, waiting))
        asked = len(servers[0].asked)
        assert asked <= 32, "while all refuse connections, nothing is asked of them"
        servers[1].reply, servers[1].information = echo, INFO
        await waiting
        for number, task in enumerate(asking):
            assert texts_of(await task) == expected(*TEXTS[number::4])


@simulated
async def test_a_health_that_says_yes_closes_no_breaker() -> None:
    server = FakeServer()
    async with Started(server, options=PoolOptions(timeout_s=1.0)) as pool:
        server.reply = lambda _: HANG  # though /info and /health answer
        asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS[:16])))
        await until(lambda: not pool.available)
        await asyncio.sleep(100.0)
        assert not pool.available
        assert "answers no request" in (pool.servers()[0].problem or "")
        server.reply = echo
        assert texts_of(await asking) == expected(*TEXTS[:16])


@simulated
async def test_a_refused_prompt_is_not_asked_twice() -> None:
    def reply(prompt: str) -> Generation | ModelError:
        return Refused("too long", status=422) if prompt == "long" else echo(prompt)

    server = FakeServer(reply)
    async with Started(server) as pool:
        answers = await pool.ask(prompts("a", "long", "b"))
        state = pool.servers()[0]
    assert isinstance(answers.pop(1), Refused)
    assert texts_of(answers) == expected("a", "b")
    assert server.asked.count("long") == 1
    assert state.refused == 1
    assert "model.max_input_tokens" in (state.problem or "")


@simulated
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


@simulated
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


class Caller:
    """Who opened a call, and what it was told."""

    def __init__(self) -> None:
        self.answers: dict[int, str] = {}
        self.errors: list[BaseException] = []
        self.then: Callable[[int], None] = lambda _: None

    def on_answer(self, index: int, answer: PoolAnswer | ModelError) -> None:
        assert isinstance(answer, PoolAnswer)
        self.answers[index] = answer.text
        self.then(index)


@simulated
async def test_each_prompt_of_a_call_is_answered_while_others_of_it_wait() -> None:
    server = FakeServer(lambda text: HANG if text == "stuck" else echo(text))
    async with Started(server) as pool:
        caller = Caller()
        call = pool.open_call(caller.on_answer, caller.errors.append)
        call.send(prompts("stuck", "a", "b"))
        await until(lambda: len(caller.answers) == 2)
        call.send(prompts("c"))
        await until(lambda: len(caller.answers) == 3)
        assert caller.answers == {1: "re: a", 2: "re: b", 3: "re: c"}
        call.close()
        await until(lambda: server.cancelled == ["stuck"])
        call.send(prompts("late"))
        assert texts_of(await pool.ask(prompts("after"))) == expected("after")
    assert "late" not in server.asked
    assert caller.errors == []


@simulated
async def test_what_a_caller_raises_at_an_answer_ends_its_call_and_no_other() -> None:
    server = FakeServer(info=ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=8))
    async with Started(server) as pool:
        caller, closing = Caller(), Caller()
        asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS)))

        def bug(_: int) -> None:
            raise KeyError("a bug")

        caller.then = bug
        pool.open_call(caller.on_answer, caller.errors.append).send(prompts(*TEXTS[:50]))
        closed = pool.open_call(closing.on_answer, closing.errors.append)
        closing.then = lambda _: closed.close()
        closed.send(prompts(*TEXTS[:50]))
        assert texts_of(await asking) == expected(*TEXTS)
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)
        assert [type(error) for error in caller.errors] == [KeyError]
        assert len(caller.answers) == len(closing.answers) == 1
        assert closing.errors == []
        assert not pool._calls


@simulated
async def test_a_call_is_told_why_the_pool_ended() -> None:
    server = FakeServer()
    async with Started(server) as pool:
        caller = Caller()
        server.gate.clear()
        call = pool.open_call(caller.on_answer, caller.errors.append)
        call.send(prompts("a"))
        await pool.aclose()
        assert [type(error) for error in caller.errors] == [PoolClosed]
        call.close()
        with pytest.raises(PoolClosed):
            pool.open_call(caller.on_answer, caller.errors.append)


@pytest.mark.parametrize(("text", "times"), [("endless", 4), (PROBE_TEXT, 1), ("endless", 5)])
@simulated
async def test_cancelling_while_a_prompt_is_judged_leaves_the_server_usable(
    text: str, times: int
) -> None:
    server = FakeServer(lambda text: HANG if text == "endless" else echo(text), latency_s=0.2)
    async with Started(server, options=PoolOptions(timeout_s=1.0)) as pool:
        asking = asyncio.ensure_future(pool.ask(prompts("endless")))
        await until(lambda: server.asked.count(text) == times)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: server.cancelled == [text])
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)


@simulated
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


@simulated
async def test_an_exception_in_a_request_is_that_prompts_alone() -> None:
    def reply(prompt: str) -> Generation | ModelError:
        if prompt == "my secret diary":
            raise ValueError(prompt)
        return echo(prompt)

    async with Started(FakeServer(reply)) as pool:
        with capture_logs() as logs:
            answers = await pool.ask(prompts(*TEXTS[:20], "my secret diary"))
        bad = answers.pop()
        assert isinstance(bad, FailedAlone)
        assert texts_of(answers) == expected(*TEXTS[:20])
        assert pool.available
    crashes = [log for log in logs if log["event"] == events.REQUEST_CRASHED]
    assert crashes[0]["error"] == "ValueError"
    assert crashes[0]["where"].startswith("test_pool.py:")
    assert "diary" not in f"{logs} {bad}", "an exception's words may quote the post"


@simulated
async def test_a_background_task_that_ends_unasked_breaks_the_pool() -> None:
    for how in ("raises", "is cancelled"):
        server = FakeServer()
        async with Started(server) as pool:
            server.gate.clear()
            asking: asyncio.Future[object] = asyncio.ensure_future(pool.ask(prompts("x")))
            watching: asyncio.Future[object] = asyncio.ensure_future(pool.watch())
            await asyncio.sleep(1.0)
            if how == "is cancelled":
                for task in pool._life._tasks:
                    task.cancel()
            else:
                pool.spawn(_bug())
            for waiting in (asking, watching):
                words = r" at \w+\.py:\d+; this is a bug"
                with pytest.raises(PoolBroken, match=words) as caught:
                    await waiting
                named = re.search(r"(Pool|HealthChecks)\._\w+ was cancelled at", str(caught.value))
                assert bool(named) is (how == "is cancelled")
                assert caught.value.exit_code == 1
            with pytest.raises(PoolBroken):
                await pool.ask(prompts("later"))
            with pytest.raises(PoolBroken):
                await pool.wait_available()
            assert not pool.available


async def _bug() -> None:
    raise ZeroDivisionError


@simulated
async def test_observers_see_each_request_once() -> None:
    watcher = Watcher()
    replies = iter([Overloaded("x"), GenerationFailed("x")])
    server = FakeServer()
    async with Started(server, observer=watcher) as pool:
        server.reply = lambda text: next(replies, echo(text))
        answers = await pool.ask(prompts("x"))
    assert answers == [PoolAnswer(text="re: x", server="http://gpu", attempts=3)]
    assert watcher.outcomes == {"Overloaded": 1, "GenerationFailed": 1, "answered": 1}


OUTCOMES: dict[str, ModelError] = {
    "o": Overloaded("x"), "g": GenerationFailed("x"), "t": HANG,
    "u": Unavailable("x"), "n": Unavailable("x", unsent=True), "l": Unavailable("x", lost=True),
}  # fmt: skip
BAD_LUCK = st.sampled_from(
    ["", "", "", "o", "oo", "ooooo", "g", "u", "gu", "go", "t", "ot", "uo", "l", "n", "ln"]
)


@settings(deadline=None, max_examples=40)
@given(
    waves=st.lists(
        st.tuples(st.lists(BAD_LUCK, max_size=20), st.none() | st.floats(0, 3.0)),
        min_size=1,
        max_size=4,
    ),
    servers=st.integers(1, 3),
    concurrency=st.integers(1, 40),
    by_length=st.booleans(),
)
def test_whatever_fails_or_is_cancelled_every_other_prompt_is_answered_in_its_place(
    waves: list[tuple[list[str], float | None]], servers: int, concurrency: int, *, by_length: bool
) -> None:
    left: dict[str, list[str]] = defaultdict(list)

    def reply(prompt: str) -> Generation | ModelError:
        return OUTCOMES[left[prompt].pop()] if left[prompt] else echo(prompt)

    async def ask(pool: Pool, texts: list[str], patience_s: float | None) -> None:
        asking = asyncio.ensure_future(pool.ask(prompts(*texts)))
        if patience_s is not None:
            await asyncio.sleep(patience_s)
            asking.cancel()
        try:
            assert texts_of(await asking) == expected(*texts)
        except asyncio.CancelledError:
            assert patience_s is not None

    async def scenario() -> None:
        info = ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=concurrency)
        fakes = [FakeServer(reply, url=f"http://{n}", info=info) for n in range(servers)]
        options = PoolOptions(by_length=lambda _: by_length, timeout_s=2.0)
        async with Started(*fakes, options=options) as pool:
            asked = []
            for number, (wave, patience_s) in enumerate(waves):
                texts = [f"{number}/{index}" for index in range(len(wave))]
                left.update(zip(texts, map(list, wave), strict=True))
                asked.append(ask(pool, texts, patience_s))
            await asyncio.wait_for(asyncio.gather(*asked), 600.0)
            await until(lambda: not any(server.in_flight for server in fakes))
            # Beside the limit there are at most a probe and a harmless prompt.
            assert all(server.most_in_flight <= concurrency + 2 for server in fakes)
            assert all(state.in_flight == 0 for state in pool.servers())
            assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)
            assert len(pool._queue) == 0
            assert len(pool._trials) == 0
            assert not pool._calls

    run(scenario())
