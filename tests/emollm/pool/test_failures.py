"""A prompt that fails: never blamed for bad luck, never in the others' way."""

import asyncio
import itertools
from collections.abc import Callable
from random import Random

import pytest
from structlog.testing import capture_logs

from emollm.clients import events
from emollm.errors import (
    FailedAlone,
    GenerationFailed,
    ModelError,
    Overloaded,
    Refused,
    Unauthorized,
    Unavailable,
)
from emollm.pool import Pool, PoolOptions
from emollm.pool.health import PROBE_TEXT
from emollm.pool.queue import Pending
from emollm.pool.trials import REMEMBERED_S, Trials
from emollm.protocol import Generation, PoolAnswer, Prompt, ServerInfo
from tests.emollm.pool.fakes import (
    HANG,
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
from tests.emollm.pool.simulation import simulated

WIDE = ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=64)
POISON: dict[str, ModelError] = {
    "429": Overloaded("rate limit", status=429),
    "424": GenerationFailed("shard", status=424),
    "500": GenerationFailed("incomplete", status=500),
    "hang": HANG,
    "403": Unauthorized("forbidden", status=403),
}


def unless_poison(error: ModelError) -> Callable[[str], Generation | ModelError]:
    return lambda prompt: error if "poison" in prompt else echo(prompt)


Bad = list[tuple[int, list[type[ModelError]]]]


async def stream(pool: Pool, posts: int, *, poison_at: int) -> tuple[list[float], Bad]:
    """Ask 20 posts a second, of three prompts each: when each was answered, and the bad ones."""
    loop = asyncio.get_running_loop()
    times: list[float] = [loop.time()]
    bad: Bad = []

    async def ask(number: int) -> None:
        text = "poison" if number == poison_at else f"post {number}"
        asked = [
            Prompt(text=f"{text} {task}", params=PARAMS, task=task, post=text)
            for task in ("V-reg", "E-c", "EI-reg")
        ]
        answers = await pool.ask(asked, turn=number)
        errors = [answer for answer in answers if isinstance(answer, ModelError)]
        if errors:
            bad.append((number, [type(error) for error in errors]))
        else:
            times.append(loop.time())

    asking = []
    for number in range(posts):
        asking.append(asyncio.ensure_future(ask(number)))
        await asyncio.sleep(0.05)
    await asyncio.gather(*asking)
    return times, bad


@pytest.mark.parametrize(("kind", "batched"), [*((kind, False) for kind in POISON), ("424", True)])
@simulated
async def test_one_poison_post_of_any_kind_leaves_no_gap_and_is_condemned_once(
    kind: str, *, batched: bool
) -> None:
    server = FakeServer(unless_poison(POISON[kind]), info=WIDE, latency_s=0.4, batched=batched)
    async with Started(server, options=PoolOptions(timeout_s=3.0)) as pool:
        limit = pool.servers()[0].limit
        with capture_logs() as logs:
            times, bad = await stream(pool, 1_000, poison_at=100)
        assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 8.0
        verdict = Refused if kind == "403" else FailedAlone
        assert bad == [(100, [verdict] * 3)]
        verdicts = [log for log in logs if log["event"] == events.PROMPT_ISOLATED]
        assert len(verdicts) == 1, "the other prompts of its post are not tried again"
        assert pool.servers()[0].limit >= 0.5 * limit, "a poison post lowered the limit"
        assert pool.available


@pytest.mark.parametrize("kind", ["429", "500", "hang", "any"])
@simulated
async def test_a_server_that_fails_at_random_condemns_nothing(kind: str) -> None:
    """30 % of all requests, for ten minutes."""
    rng = Random(kind)

    def reply(prompt: str) -> Generation | ModelError:
        if rng.random() >= 0.3:
            return echo(prompt)
        return POISON[rng.choice(("429", "500", "hang")) if kind == "any" else kind]

    server = FakeServer(reply, info=WIDE, latency_s=0.4)
    loop = asyncio.get_running_loop()
    answered = 0
    async with Started(server, options=PoolOptions(timeout_s=3.0)) as pool:
        end = loop.time() + 600.0

        async def work(number: int) -> None:
            nonlocal answered
            while loop.time() < end:
                texts = [f"{number} {answered} {index}" for index in range(3)]
                assert texts_of(await pool.ask(prompts(*texts))) == expected(*texts)
                answered += 1

        await asyncio.gather(*map(work, range(40)))
    assert answered > 500


async def abandoned(pool: Pool, *texts: str, after_s: float) -> list[PoolAnswer | ModelError]:
    """Ask, and give up after a while, as a rebalance does: the answers, or none if it came to that.

    A post of three prompts each.
    """
    asked = [
        Prompt(text=f"{text} {task}", params=PARAMS, task=task, post=text)
        for text in texts
        for task in ("V-reg", "E-c", "EI-reg")
    ]
    try:
        async with asyncio.timeout(after_s):
            return await pool.ask(asked)
    except TimeoutError:
        return []


@pytest.mark.parametrize("kind", ["429", "500", "reset", "hang"])
@simulated
async def test_a_poison_post_is_condemned_though_its_partition_is_reassigned_again_and_again(
    kind: str,
) -> None:
    """A trial takes longer than the group stays as it is: what it showed isn't shown again."""
    error = Unavailable("reset", lost=True) if kind == "reset" else POISON[kind]
    server = FakeServer(unless_poison(error), info=WIDE, latency_s=0.1)
    async with Started(server, options=PoolOptions(timeout_s=1.0)) as pool:
        for number in range(10):  # a sound server
            await pool.ask(prompts(*(f"{number} {text}" for text in TEXTS)))
        answers: list[PoolAnswer | ModelError] = []
        rebalances = 0
        while not answers and rebalances < 6:
            answers = await abandoned(pool, "a", "poison", "b", after_s=9.0)
            rebalances += 1
        assert rebalances > 1, "it was condemned before there was anything to remember"
        good, bad = answers[:3] + answers[6:], answers[3:6]
        assert len(texts_of(good)) == 6
        assert [type(answer) for answer in bad] == [FailedAlone] * 3


@simulated
async def test_what_an_abandoned_trial_showed_is_forgotten_after_minutes() -> None:
    server = FakeServer(unless_poison(POISON["500"]), info=WIDE, latency_s=0.1)
    async with Started(server) as pool:
        for _ in range(6):
            assert not await abandoned(pool, "poison", after_s=9.0)
            await asyncio.sleep(REMEMBERED_S)


@simulated
async def test_two_short_troubles_minutes_apart_are_no_long_one() -> None:
    """The post fails as often as a verdict takes, but for 9 s and for 1 s."""
    server = FakeServer(unless_poison(POISON["500"]), info=WIDE, latency_s=0.1)
    async with Started(server) as pool:
        await pool.ask(prompts(*TEXTS))  # a sound server
        assert not await abandoned(pool, "poison", after_s=9.0)
        await asyncio.sleep(200.0)
        asyncio.get_running_loop().call_later(1.0, setattr, server, "reply", echo)
        answers = await abandoned(pool, "poison", after_s=60.0)
        assert len(texts_of(answers)) == 3


@simulated
async def test_what_an_abandoned_trial_showed_is_forgotten_once_the_prompt_is_answered() -> None:
    """A post that was answered since isn't condemned for a second of trouble minutes later."""
    said: dict[str, ModelError] = {"post V-reg": POISON["500"]}
    server = FakeServer(lambda text: said.get(text, echo(text)), info=WIDE, latency_s=0.1)
    async with Started(server) as pool:
        await pool.ask(prompts(*TEXTS))  # a sound server
        assert not await abandoned(pool, "post", after_s=9.0)
        trouble = said.copy()
        said.clear()
        assert len(texts_of(await abandoned(pool, "post", after_s=9.0))) == 3
        await asyncio.sleep(60.0)
        said.update(trouble)
        asyncio.get_running_loop().call_later(1.0, said.clear)
        assert len(texts_of(await abandoned(pool, "post", after_s=60.0))) == 3


@simulated
async def test_a_server_that_fails_at_random_condemns_nothing_in_posts_that_are_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """30 % of all requests, and a rebalance every five seconds for a quarter of an hour."""
    rng = Random("rebalances")
    resumed = 0
    resume = Trials.resume

    def counted(trials: Trials, pending: Pending) -> bool:
        nonlocal resumed
        goes_on = resume(trials, pending)
        resumed += goes_on
        return goes_on

    monkeypatch.setattr(Trials, "resume", counted)

    def reply(prompt: str) -> Generation | ModelError:
        return echo(prompt) if rng.random() >= 0.3 else Unavailable("reset", lost=True)

    server = FakeServer(reply, info=WIDE, latency_s=0.4)
    loop = asyncio.get_running_loop()
    answered = 0
    async with Started(server, options=PoolOptions(timeout_s=3.0)) as pool:
        end = loop.time() + 900.0

        async def work(number: int) -> None:
            nonlocal answered
            while loop.time() < end:
                answers: list[PoolAnswer | ModelError] = []
                text = f"{number} {answered}"
                while not answers:
                    answers = await abandoned(pool, text, after_s=5.0)
                assert len(texts_of(answers)) == 3
                answered += 1

        await asyncio.gather(*map(work, range(40)))
    assert answered > 500
    assert resumed > 20


@simulated
async def test_a_verdict_takes_ten_seconds_and_five_failures_alone_each_with_a_witness() -> None:
    server = FakeServer(unless_poison(POISON["500"]), info=WIDE, latency_s=0.1)
    loop = asyncio.get_running_loop()
    async with Started(server) as pool:
        for number in range(10):  # a sound server
            await pool.ask(prompts(*(f"{number} {text}" for text in TEXTS)))
        server.asked.clear()
        server.company.clear()
        began = loop.time()
        (verdict,) = await pool.ask(prompts("poison"))
        assert isinstance(verdict, FailedAlone)
        assert verdict.status == 500
        assert "GenerationFailed" in str(verdict)
        assert "poison" not in str(verdict)
        assert loop.time() - began >= 10.0
        assert server.asked.count("poison") >= 3 + 5
        assert server.asked.count(PROBE_TEXT) >= 5
        first_alone = len(server.asked) - 2 * 5
        assert server.asked[first_alone:] == ["poison", PROBE_TEXT] * 5


@simulated
async def test_a_prompt_that_times_out_alone_is_condemned_after_fewer_failures() -> None:
    server = FakeServer(unless_poison(HANG), info=WIDE, latency_s=0.1)
    async with Started(server, options=PoolOptions(timeout_s=6.0)) as pool:
        for number in range(10):
            await pool.ask(prompts(*(f"{number} {text}" for text in TEXTS)))
        (verdict,) = await pool.ask(prompts("poison"))
        assert isinstance(verdict, FailedAlone)
        assert server.asked.count("poison") == 3 + 3


@simulated
async def test_a_prompt_is_asked_alone_only_when_the_server_is_empty() -> None:
    """Two requests are held open: the trial waits for both, whichever ends first."""
    held = {"held 1": asyncio.Event(), "held 2": asyncio.Event()}
    server = FakeServer(unless_poison(POISON["500"]), info=WIDE)
    generate = server.generate

    async def slow(prompt: str, params: object, *, timeout_s: float) -> Generation | ModelError:
        if prompt in held:
            server.in_flight.append(prompt)
            await held[prompt].wait()
            server.in_flight.remove(prompt)
        return await generate(prompt, PARAMS, timeout_s=timeout_s)

    server.generate = slow  # type: ignore[method-assign]
    async with Started(server) as pool:
        holding = asyncio.ensure_future(pool.ask(prompts(*held)))
        await until(lambda: len(server.in_flight) == 2)
        asking = asyncio.ensure_future(pool.ask(prompts("poison")))
        # Once more than on a server that is known to be sound.
        await until(lambda: server.asked.count("poison") == 4)
        for one in held.values():
            await asyncio.sleep(10.0)
            assert server.asked.count("poison") == 4, "it was asked alone beside another"
            one.set()
        await holding
        await asking
    assert server.company["poison"][4:] == [1] * (len(server.company["poison"]) - 4)


@simulated
async def test_without_a_witness_there_is_no_verdict() -> None:
    """The server fails the harmless prompt as well, by a 429: nobody is to blame."""
    server = FakeServer(info=WIDE)
    async with Started(server) as pool:
        loop = asyncio.get_running_loop()
        failed_at = 0.0

        def reply(prompt: str) -> Generation | ModelError:
            nonlocal failed_at
            if prompt == "poison":
                failed_at = loop.time()
                return POISON["500"]
            busy = loop.time() < failed_at + 5.0
            return Overloaded("full", status=429) if busy else echo(prompt)

        server.reply = reply
        asking = asyncio.ensure_future(pool.ask(prompts("poison")))
        await asyncio.sleep(600.0)
        assert not asking.done()
        assert server.asked.count("poison") > 10
        server.reply = echo
        assert texts_of(await asking) == expected("poison")


@simulated
async def test_a_server_that_fails_the_witness_too_is_blamed() -> None:
    server = FakeServer(info=WIDE)
    async with Started(server, options=PoolOptions(timeout_s=1.0)) as pool:
        asked = 0

        def reply(prompt: str) -> Generation | ModelError:
            nonlocal asked
            if prompt != "post":
                return echo(prompt) if asked < 4 else POISON["500"]
            asked += 1
            return POISON["500"]

        server.reply = reply
        asking = asyncio.ensure_future(pool.ask(prompts("post")))
        await until(lambda: not pool.available)
        assert asked == 4
        server.reply = echo
        assert texts_of(await asking) == expected("post")


@simulated
async def test_trying_one_alone_leaves_the_queue_half_of_the_time() -> None:
    """Ten prompts that hang: the others have the server for as long as these hold it."""
    server = FakeServer(unless_poison(HANG), info=WIDE, latency_s=0.1)
    loop = asyncio.get_running_loop()
    async with Started(server, options=PoolOptions(timeout_s=3.0)) as pool:
        bad = asyncio.ensure_future(pool.ask(prompts(*(f"poison {n}" for n in range(10)))))
        await asyncio.sleep(15.0)
        end, answers = loop.time() + 60.0, []
        while loop.time() < end:
            began = loop.time()
            await pool.ask(prompts(f"post {began}"), turn=1)
            answers.append(loop.time() - began)
        assert sum(one for one in answers if one < 0.2) >= 0.45 * 60.0
        assert max(answers) < 8.0
        bad.cancel()


@simulated
async def test_a_long_trial_lets_others_in_after_some_seconds() -> None:
    """With the default timeout a prompt that hangs would hold the only server for 30 seconds."""
    server = FakeServer(unless_poison(HANG), info=WIDE, latency_s=0.1)
    async with Started(server, options=PoolOptions(timeout_s=12.0)) as pool:
        times, bad = await stream(pool, 2_000, poison_at=10)
        assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 8.0
        assert bad == [(10, [FailedAlone] * 3)]


@simulated
async def test_a_repost_of_a_condemned_post_is_not_tried_for_minutes() -> None:
    server = FakeServer(unless_poison(POISON["500"]), info=WIDE)
    async with Started(server) as pool:
        await pool.ask(prompts("poison", post="poison"))
        asked = server.asked.count("poison")
        for _ in range(10):
            (verdict,) = await pool.ask(prompts("poison", post="poison"))
            assert isinstance(verdict, FailedAlone)
        assert server.asked.count("poison") == asked + 10, "each is tried once, not judged again"
        server.reply = echo
        assert texts_of(await pool.ask(prompts("poison", post="poison"))) == expected("poison")


@simulated
async def test_a_prompt_whose_connection_was_lost_is_asked_alone_next() -> None:
    servers = [FakeServer(url=url, latency_s=0.1) for url in ("http://a", "http://b")]
    lost = iter([Unavailable("reset", lost=True)])
    async with Started(*servers) as pool:
        for server in servers:
            server.reply = lambda text: next(lost, echo(text)) if text == "x" else echo(text)
        texts = ["x", *TEXTS[:100]]
        assert texts_of(await pool.ask(prompts(*texts))) == expected(*texts)
        company = [*servers[0].company.get("x", ()), *servers[1].company.get("x", ())]
        assert len(company) == 2
        assert min(company) == 1


@pytest.mark.parametrize("back_s", [0.1, 0.5, 1.0, 20.0])
@simulated
async def test_a_prompt_under_which_two_more_servers_die_is_condemned(back_s: float) -> None:
    """However soon a supervisor has the server back."""
    down_until = 0.0
    loop = asyncio.get_running_loop()

    def reply(prompt: str) -> Generation | ModelError:
        nonlocal down_until
        if loop.time() < down_until:
            return Unavailable("connection refused", unsent=True)
        if prompt == "death":
            down_until = loop.time() + back_s
            return Unavailable("connection reset", lost=True)
        return echo(prompt)

    server = FakeServer(reply, latency_s=0.01)
    async with Started(server) as pool:
        for number in range(5):
            await pool.ask(prompts(*(f"{number} {text}" for text in TEXTS)))
        answers = await pool.ask(prompts(*TEXTS[:20], "death"))
    assert isinstance(answers.pop(), FailedAlone)
    assert texts_of(answers) == expected(*TEXTS[:20])
    assert server.asked.count("death") <= (4 if back_s < 1.0 else 3), "in company, and two more"


@simulated
async def test_a_server_that_dies_by_itself_every_few_seconds_condemns_nothing() -> None:
    rng, loop = Random(5), asyncio.get_running_loop()
    dies_at = back_at = loop.time()

    def reply(prompt: str) -> Generation | ModelError:
        nonlocal dies_at, back_at
        now = loop.time()
        if now >= dies_at and now >= back_at:
            first = back_at
            dies_at, back_at = now + rng.uniform(2.0, 8.0), now + rng.uniform(1.0, 2.0)
            if first != back_at:
                return Unavailable("connection reset", lost=True)
        if now < back_at:
            return Unavailable("connection refused", unsent=True)
        return echo(prompt)

    async with Started(FakeServer(reply, latency_s=0.2)) as pool:
        for number in range(60):
            texts = [f"{number} {text}" for text in TEXTS[:40]]
            assert texts_of(await pool.ask(prompts(*texts))) == expected(*texts)


@simulated
async def test_a_dead_shard_condemns_nothing() -> None:
    server = FakeServer()
    async with Started(server) as pool:
        server.reply = lambda _: POISON["424"]  # to all; /info still answers
        asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS[:50])))
        await asyncio.sleep(600.0)
        server.reply = echo
        assert texts_of(await asking) == expected(*TEXTS[:50])


@simulated
async def test_five_timeouts_open_the_breaker() -> None:
    server = FakeServer(lambda _: HANG, info=WIDE)
    server.reply = echo
    async with Started(server, options=PoolOptions(timeout_s=1.0)) as pool:
        server.reply = lambda _: HANG
        asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS[:5])))
        await asyncio.sleep(1.5)
        assert not pool.available
        server.reply = echo
        assert texts_of(await asking) == expected(*TEXTS[:5])


@pytest.mark.parametrize("kind", ["429", "500"])
@simulated
async def test_a_poison_post_on_an_idle_server_lowers_no_limit(kind: str) -> None:
    server = FakeServer(unless_poison(POISON[kind]), info=WIDE)
    async with Started(server) as pool:
        limit = pool.servers()[0].limit
        profile = prompts(*(f"poison {number}" for number in range(11)), post="poison")
        assert {type(answer) for answer in await pool.ask(profile)} == {FailedAlone}
        assert pool.servers()[0].limit == limit


@simulated
async def test_the_failures_of_one_post_open_no_breaker() -> None:
    watcher = Watcher()
    server = FakeServer(unless_poison(POISON["500"]), info=WIDE)
    async with Started(server, observer=watcher) as pool:
        opened = watcher.breakers["http://gpu"].copy()
        answers = await pool.ask(prompts(*(f"poison {n}" for n in range(6)), post="poison"))
        assert {type(answer) for answer in answers} == {FailedAlone}
        assert watcher.breakers["http://gpu"] == opened


@simulated
async def test_the_innocents_of_a_failing_batch_are_answered() -> None:
    server = FakeServer(unless_poison(POISON["424"]), batched=True)
    async with Started(server) as pool:
        innocents = TEXTS[:40]
        answers = await pool.ask(prompts(*innocents[:20], "poison", *innocents[20:]))
        assert isinstance(answers.pop(20), FailedAlone)
        assert texts_of(answers) == expected(*innocents)
    assert set(server.company["poison"][-5:]) == {1}, "it was condemned in company"


@simulated
async def test_a_key_refused_for_a_moment_dead_letters_nothing() -> None:
    """It was renewed between the prompt and the harmless one that was asked about it."""
    server = FakeServer()
    refusals = [Unauthorized("401", status=401)]
    async with Started(server) as pool:
        server.reply = lambda prompt: refusals.pop() if refusals else echo(prompt)
        assert texts_of(await pool.ask(prompts(*TEXTS[:20]))) == expected(*TEXTS[:20])


@simulated
async def test_a_failed_prompt_goes_behind_the_others() -> None:
    server = FakeServer(info=ServerInfo(dialect="tgi", model_id="m", max_concurrent_requests=1))
    failures = iter([GenerationFailed("once")])
    async with Started(server) as pool:
        server.latency_s = 0.1
        server.reply = lambda text: next(failures, echo(text)) if text == "first" else echo(text)
        answers = await pool.ask(prompts("first", *TEXTS[:20]))
    assert server.asked == ["first", *TEXTS[:20], "first"]
    assert answers[0] == PoolAnswer(text="re: first", server="http://gpu", attempts=2)


@simulated
async def test_a_prompt_that_fails_again_waits_longer_each_time() -> None:
    """On a server that fails often, where it takes many failures until it is asked alone."""
    server, loop, times = FakeServer(info=WIDE), asyncio.get_running_loop(), list[float]()

    def reply(prompt: str) -> Generation | ModelError:
        if prompt != "fails":
            return echo(prompt)
        times.append(loop.time())
        return POISON["500"] if len(times) <= 6 else echo(prompt)

    server.reply = reply
    async with Started(server) as pool:
        for _ in range(300):
            pool._upstreams[0].failure_rate.on_failure()
        assert texts_of(await pool.ask(prompts("fails"))) == expected("fails")
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(later > 1.5 * earlier for earlier, later in itertools.pairwise(waits))
    assert waits[0] < 0.1
    assert waits[-1] > 1.0


@simulated
async def test_out_of_memory_is_remembered_for_minutes() -> None:
    def reply(prompt: str) -> Generation | ModelError:
        if len(server.in_flight) > 40:
            return GenerationFailed("CUDA out of memory", status=424)
        return echo(prompt)

    server = FakeServer(reply, info=ServerInfo(dialect="tgi", model_id="m",
                                               max_concurrent_requests=128))  # fmt: skip
    watcher = Watcher()
    async with Started(server, observer=watcher) as pool:
        for number in range(50):
            await pool.ask(prompts(*(f"{number} {text}" for text in TEXTS)))
        assert pool.servers()[0].limit <= 40
        assert watcher.outcomes["GenerationFailed"] < 150
