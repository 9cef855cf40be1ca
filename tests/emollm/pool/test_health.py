"""Which servers the pool lets take prompts: at start, after a failure, and never."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest
from structlog.testing import capture_logs

from emollm.clients import events
from emollm.errors import (
    GenerationFailed,
    ModelError,
    Overloaded,
    Refused,
    Stop,
    Unauthorized,
    Unavailable,
    WrongModel,
    WrongRequest,
)
from emollm.pool import BreakerState, Pool
from emollm.pool.health import EJECTED_DELAY_S, INFO_EVERY_S, PROBE_TEXT, SUSPECT_EVERY_S
from emollm.protocol import Generation, ModelClient, ServerInfo
from tests.emollm.pool.fakes import (
    HANG,
    INFO,
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
from tests.emollm.pool.simulation import LoopClock, simulated


def failing_with(error: ModelError) -> Callable[[str], Generation | ModelError]:
    return lambda _: error


@simulated
async def test_servers_of_different_models_are_refused_by_name() -> None:
    other = ServerInfo(dialect="tgi", model_id="emobloom", max_concurrent_requests=8)
    servers = [FakeServer(url="http://a"), FakeServer(url="http://b", info=other)]
    pool = Pool([(server.url, server.connect) for server in servers], clock=LoopClock())
    with pytest.raises(WrongModel, match=r"http://b serves emobloom.*emollama@r1") as caught:
        await pool.start()
    assert caught.value.server == "http://b"
    assert all(server.closed for server in servers)


@simulated
async def test_an_unknown_revision_agrees_with_any_and_another_one_does_not() -> None:
    unknown = ServerInfo(dialect="openai", model_id="emollama")
    servers = [FakeServer(url="http://a"), FakeServer(url="http://b", info=unknown)]
    async with Started(*servers) as pool:
        assert pool.info == INFO
    another = ServerInfo(dialect="tgi", model_id="emollama", model_revision="r2")
    servers = [FakeServer(url="http://a"), FakeServer(url="http://b", info=another)]
    with pytest.raises(WrongModel):
        async with Started(*servers):
            pass


@simulated
async def test_a_server_restarted_with_another_model_stays_out() -> None:
    changed, steady = FakeServer(url="http://a"), FakeServer(url="http://b")
    async with Started(changed, steady) as pool:
        changed.reply = lambda _: Unavailable("connection refused", unsent=True)
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)
        changed.reply = echo
        changed.information = ServerInfo(dialect="tgi", model_id="gpt2")
        await until(lambda: pool.servers()[0].out is not None)
        assert "gpt2" in (pool.servers()[0].out or "")
        assert changed.answered == []
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)


@simulated
async def test_a_model_swapped_between_two_requests_is_noticed_within_a_minute() -> None:
    swapped, steady = FakeServer(url="http://a"), FakeServer(url="http://b")
    async with Started(swapped, steady) as pool:
        swapped.information = ServerInfo(dialect="tgi", model_id="gpt2")
        with capture_logs() as logs:
            await until(lambda: pool.servers()[0].out is not None, within_s=10.0)
        assert events.MODEL_CHANGED in [log["event"] for log in logs]
        assert pool.available
        steady.information = swapped.information
        with pytest.raises(WrongModel, match="http://b serves gpt2"):
            await pool.watch()


@simulated
async def test_an_info_that_fails_by_the_way_changes_nothing() -> None:
    server = FakeServer()
    async with Started(server) as pool:
        server.information = Unavailable("connection refused", unsent=True)
        await asyncio.sleep(10 * INFO_EVERY_S)
        assert pool.available
        assert texts_of(await pool.ask(prompts("x"))) == expected("x")


@simulated
async def test_each_server_is_proven_before_it_takes_a_prompt() -> None:
    proven: list[str] = []

    async def prove(client: ModelClient) -> ModelError | None:
        proven.append(client.url)
        bad = client.url == "http://b"
        return WrongModel("http://b answers garbage", server=client.url) if bad else None

    async with Started(FakeServer(url="http://a"), prove=prove):
        pass
    servers = [FakeServer(url="http://a"), FakeServer(url="http://b")]
    with pytest.raises(WrongModel, match="http://b answers garbage"):
        async with Started(*servers, prove=prove):
            pass
    assert proven == ["http://a", "http://a", "http://b"]


@simulated
async def test_a_suspected_model_takes_no_prompts_until_it_is_proven_again() -> None:
    proofs = 0
    fine = True

    async def prove(client: ModelClient) -> ModelError | None:
        nonlocal proofs
        proofs += 1
        await asyncio.sleep(1.0)
        return None if fine else Unavailable("restarting")

    server = FakeServer()
    async with Started(server, prove=prove) as pool:
        fine = False
        pool.suspect_model()
        assert pool.servers()[0].breaker is BreakerState.OPEN
        asking = asyncio.ensure_future(pool.ask(prompts("x")))
        await asyncio.sleep(20.0)
        takes_prompts = pool.available
        assert not takes_prompts
        assert server.asked == []
        fine = True
        assert texts_of(await asking) == expected("x")
        before = proofs
        pool.suspect_model()
        assert pool.available, "not twice in a minute"
        await asyncio.sleep(SUSPECT_EVERY_S)
        pool.suspect_model()
        assert pool.servers()[0].breaker is BreakerState.OPEN
        await pool.wait_available()
        assert proofs == before + 1


@simulated
async def test_a_model_suspected_while_its_server_comes_back_is_proven_all_the_same() -> None:
    """Its answers before the swap may have passed the canary, or only a harmless prompt."""
    began = asyncio.Event()
    right = True

    async def prove(client: ModelClient) -> ModelError | None:
        passed = right
        began.set()
        await asyncio.sleep(1.0)
        return None if passed else WrongModel("garbage", server=client.url)

    for error in (Unavailable("reset", lost=True), GenerationFailed("424")):
        right = True
        server = FakeServer()
        async with Started(server, prove=prove) as pool:
            server.reply = failing_with(error)
            began.clear()
            asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS[:16])))
            await until(lambda: not pool.available)
            server.reply = echo
            server.latency_s = 1.0
            await until(lambda: pool.servers()[0].breaker is BreakerState.HALF_OPEN)
            await asyncio.sleep(0.5)
            assert began.is_set() is isinstance(error, Unavailable)
            right = False
            pool.suspect_model()
            with pytest.raises(WrongModel, match="garbage"):
                await asking


@simulated
async def test_a_model_that_fails_the_canary_when_suspected_stops_the_pool() -> None:
    right = True

    async def prove(client: ModelClient) -> ModelError | None:
        return None if right else WrongModel("garbage", server=client.url)

    async with Started(FakeServer(), prove=prove) as pool:
        right = False
        pool.suspect_model()
        with pytest.raises(WrongModel, match="garbage"):
            await pool.ask(prompts("x"))


@simulated
async def test_a_busy_server_does_not_lock_out_who_starts_or_comes_back() -> None:
    """It is full of others' work: one request in twenty gets through."""
    rng = Random(7)

    async def prove(client: ModelClient) -> ModelError | None:
        for number in range(9):
            answer = await client.generate(f"canary {number}", PARAMS, timeout_s=30.0)
            if isinstance(answer, ModelError):
                return answer
        return None

    def reply(prompt: str) -> Generation | ModelError:
        return echo(prompt) if rng.random() < 0.05 else Overloaded("full", status=429)

    loop = asyncio.get_running_loop()
    for _ in range(20):
        server = FakeServer(reply)
        began = loop.time()
        async with Started(server, prove=prove):
            assert loop.time() - began < 240.0


@simulated
async def test_a_harmless_prompt_that_is_answered_readmits_but_a_restart_wants_the_canary() -> None:
    proofs = 0

    async def prove(_: ModelClient) -> ModelError | None:
        nonlocal proofs
        proofs += 1
        return None

    server = FakeServer()
    async with Started(server, prove=prove) as pool:
        for error, more in ((GenerationFailed("424"), 0), (Unavailable("reset", lost=True), 1)):
            before = proofs
            server.reply = failing_with(error)
            asking = asyncio.ensure_future(pool.ask(prompts(*TEXTS[:16])))
            await until(lambda: not pool.available)
            server.reply = echo
            assert texts_of(await asking) == expected(*TEXTS[:16])
            assert proofs - before == more


@simulated
async def test_a_server_missing_at_start_joins_later() -> None:
    late = FakeServer(url="http://b", info=Unavailable("connection refused", unsent=True))
    async with Started(FakeServer(url="http://a"), late) as pool:
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)
        assert late.asked == []
        late.information = INFO
        await until(lambda: pool.servers()[1].breaker is BreakerState.CLOSED)
        await pool.ask(prompts(*TEXTS))
        assert PROBE_TEXT in late.asked
        assert len(late.answered) > 50


@simulated
async def test_of_two_models_that_come_up_together_only_one_takes_prompts() -> None:
    """Neither is known while the other is proven: the one that is proven first is the model."""
    gone = Unavailable("connection refused", unsent=True)
    servers = [FakeServer(url=f"http://{name}", info=gone, latency_s=2.0) for name in "ab"]
    pool = Pool([(one.url, one.connect) for one in servers], clock=LoopClock(), rand=lambda: 0.5)
    starting = asyncio.ensure_future(pool.start())
    await asyncio.sleep(10.0)
    for server, model in zip(servers, ("emollama", "emobloom"), strict=True):
        server.information = ServerInfo(dialect="tgi", model_id=model, max_concurrent_requests=8)
    await starting
    await pool.ask(prompts(*TEXTS[:50]))
    used = [server for server in servers if set(server.answered) & set(TEXTS)]
    assert [one.information for one in used] == [pool.info]
    (out,) = (one.out for one in pool.servers() if one.out is not None)
    assert "the model in use is" in out
    await pool.aclose()


@simulated
async def test_starting_without_a_server_gives_up_in_time_or_waits_for_one() -> None:
    loop = asyncio.get_running_loop()
    server = FakeServer(info=Unavailable("connection refused"))
    pool = Pool([(server.url, server.connect)], clock=LoopClock())
    began = loop.time()
    with pytest.raises(Unavailable, match="connection refused"):
        await pool.start(wait_s=10.0)
    assert loop.time() - began == pytest.approx(10.0)
    patient = Pool([(server.url, server.connect)], clock=LoopClock())
    starting = asyncio.ensure_future(patient.start())
    await asyncio.sleep(1_000.0)
    assert not starting.done()
    server.information = INFO
    await starting
    assert patient.available
    await patient.aclose()


@simulated
async def test_starting_with_a_refused_key_stops() -> None:
    server = FakeServer(lambda _: Unauthorized("401"))
    pool = Pool([(server.url, server.connect)], clock=LoopClock())
    with pytest.raises(Unauthorized):
        await pool.start()
    refusing = FakeServer(lambda _: Refused("nothing pleases it"))
    pool = Pool([(refusing.url, refusing.connect)], clock=LoopClock())
    with pytest.raises(WrongRequest, match="harmless"):
        await pool.start()


@simulated
async def test_a_key_refused_by_all_servers_stops_every_ask() -> None:
    servers = [FakeServer(url=url) for url in ("http://a", "http://b")]
    async with Started(*servers) as pool:
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


@simulated
async def test_a_server_that_refuses_the_key_is_ejected_until_a_human_has_repaired_it() -> None:
    bad, good = FakeServer(url="http://a"), FakeServer(url="http://b")
    async with Started(bad, good) as pool:
        bad.reply = lambda _: Unauthorized("/generate: status 401", status=401)
        with capture_logs() as logs:
            assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)
        out = [log for log in logs if log["event"] == events.SERVER_OUT]
        assert [(log["server"], log["log_level"]) for log in out] == [("http://a", "error")]
        state = pool.servers()[0]
        assert state.out == "/generate: status 401"
        assert "model.token" in (state.problem or "")
        bad.reply = echo
        asked = len(bad.asked)
        await asyncio.sleep(0.9 * EJECTED_DELAY_S)
        assert len(bad.asked) == asked, "it is tried once a minute, not sooner"
        await asyncio.sleep(0.2 * EJECTED_DELAY_S)
        assert pool.servers()[0].breaker is BreakerState.CLOSED
        assert pool.servers()[0].out is None


@simulated
async def test_an_ejected_server_that_then_fails_otherwise_is_probed_at_the_breakers_pace() -> None:
    bad, good = FakeServer(url="http://a"), FakeServer(url="http://b")
    async with Started(bad, good) as pool:
        bad.reply = lambda _: Unauthorized("401", status=401)
        await pool.ask(prompts(*TEXTS))
        await until(lambda: pool.servers()[0].out is not None)
        bad.reply = lambda _: Unavailable("/generate: status 503", status=503)
        await until(lambda: pool.servers()[0].out is None, within_s=2 * EJECTED_DELAY_S)
        bad.reply = echo
        await until(lambda: pool.servers()[0].breaker is BreakerState.CLOSED, within_s=2.0)


@simulated
async def test_trouble_that_lasts_is_logged_each_minute_in_the_servers_words() -> None:
    down = FakeServer(url="http://a")
    picky = FakeServer(
        lambda text: (
            Refused("inputs must have less than 1024 tokens", status=422)
            if text == "long"
            else echo(text)
        ),
        url="http://b",
    )
    async with Started(down, picky) as pool:
        down.reply = lambda _: Unauthorized("wrong key", status=401)
        await pool.ask(prompts(*TEXTS))
        with capture_logs() as logs:
            for _ in range(10):
                await pool.ask(prompts("long"))
                await asyncio.sleep(60.0)
        still = [log for log in logs if log["event"] == events.SERVER_STILL_OUT]
        assert 8 <= len(still) <= 10
        assert "wrong key" in still[0]["reason"]
        refused = [log for log in logs if log["event"] == events.PROMPTS_REFUSED]
        assert 7 <= len(refused) <= 10
        assert "less than 1024 tokens" in refused[0]["reason"]
        assert "model.max_input_tokens" in refused[0]["reason"]


HUNG = "it answers no request, whatever its /health says"
BODY = "model.max_input_tokens"


@simulated
@pytest.mark.parametrize(
    ("reply", "words", "event"),
    [
        (failing_with(Unauthorized("status 401", status=401)), "model.token", "still_out"),
        (failing_with(HANG), HUNG, "still_out"),
        (failing_with(Refused("status 413", status=413)), BODY, "refused"),
        (failing_with(Refused("too long", status=422)), BODY, "refused"),
    ],
)
async def test_each_trouble_is_repeated_each_minute_and_told_by_readyz(
    reply: Callable[[str], Generation | ModelError], words: str, event: str
) -> None:
    """With the key to change, while the other server goes on. `/info` and `/health` are well."""
    troubled, well = FakeServer(url="http://a"), FakeServer(url="http://b")
    async with Started(troubled, well) as pool:
        troubled.reply = lambda text: echo(text) if text == PROBE_TEXT else reply(text)
        if event == "still_out":
            troubled.reply = reply
        with capture_logs() as logs:
            for _ in range(8):
                await pool.ask(prompts(*TEXTS[:40]))
                await asyncio.sleep(60.0)
        name = {"still_out": events.SERVER_STILL_OUT, "refused": events.PROMPTS_REFUSED}[event]
        told = [log["reason"] for log in logs if log["event"] == name]
        assert 5 <= len(told) <= 8
        assert all(words in reason for reason in told)
        assert words in (pool.servers()[0].problem or "")
        assert pool.servers()[1].problem is None
