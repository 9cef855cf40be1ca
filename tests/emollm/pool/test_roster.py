"""Which servers the pool lets take prompts: at start, after a failure, and never."""

import asyncio

import pytest

from emollm.errors import ModelError, Refused, Unauthorized, Unavailable, WrongModel, WrongRequest
from emollm.pool import BreakerState, Pool, PoolOptions
from emollm.pool.roster import PROBE_TEXT
from emollm.protocol import ServerInfo
from tests.emollm.pool.fakes import (
    INFO,
    TEXTS,
    FakeClock,
    FakeServer,
    Started,
    echo,
    expected,
    prompts,
    texts_of,
    until,
)


async def test_servers_of_different_models_are_refused_by_name() -> None:
    other = ServerInfo(dialect="tgi", model_id="emobloom", max_concurrent_requests=8)
    servers = [FakeServer(url="http://a"), FakeServer(url="http://b", info=other)]
    pool = Pool([(server.url, server.connect) for server in servers], clock=FakeClock())
    with pytest.raises(WrongModel, match=r"http://b serves emobloom.*emollama@r1") as caught:
        await pool.start()
    assert caught.value.server == "http://b"
    assert all(server.closed for server in servers)


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
    async with Started(
        FakeServer(url="http://a"),
        FakeServer(url="http://b", info=another),
        options=PoolOptions(same_model=False),
    ) as pool:
        assert pool.available


async def test_a_server_restarted_with_another_model_stays_out() -> None:
    clock = FakeClock(running=False)
    changed, steady = FakeServer(url="http://a"), FakeServer(url="http://b")
    async with Started(changed, steady, clock=clock) as pool:
        changed.reply = lambda _: Unavailable("connection refused")
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)
        changed.reply = echo
        changed.information = ServerInfo(dialect="tgi", model_id="gpt2")
        await until(lambda: clock.sleeping == 1)
        clock.advance(10.0)
        await until(lambda: pool.servers()[0].out is not None)
        assert "gpt2" in (pool.servers()[0].out or "")
        assert changed.answered == changed.asked[:0]
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)


async def test_each_server_is_proven_before_it_takes_a_prompt() -> None:
    proven: list[str] = []

    async def prove(client: object) -> ModelError | None:
        assert isinstance(client, FakeServer)
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


async def test_a_server_missing_at_start_joins_later() -> None:
    clock = FakeClock(running=False)
    late = FakeServer(url="http://b", info=Unavailable("connection refused"))
    async with Started(FakeServer(url="http://a"), late, clock=clock) as pool:
        assert texts_of(await pool.ask(prompts(*TEXTS))) == expected(*TEXTS)
        assert late.asked == []
        late.information = INFO
        await until(lambda: clock.sleeping == 1)
        clock.advance(10.0)
        await until(lambda: pool.servers()[1].breaker is BreakerState.CLOSED)
        await pool.ask(prompts(*TEXTS))
        assert PROBE_TEXT in late.asked
        assert len(late.answered) > 50


async def test_starting_without_a_server_gives_up_in_time_or_waits_for_one() -> None:
    clock = FakeClock()
    server = FakeServer(info=Unavailable("connection refused"))
    pool = Pool([(server.url, server.connect)], clock=clock)
    with pytest.raises(Unavailable, match="connection refused"):
        await pool.start(wait_s=10.0)
    assert clock.now >= 1010.0
    patient = Pool([(server.url, server.connect)], clock=clock)
    starting = asyncio.ensure_future(patient.start())
    await until(lambda: clock.now > 2000.0)
    server.information = INFO
    await starting
    assert patient.available
    await patient.aclose()


async def test_starting_with_a_refused_key_stops() -> None:
    server = FakeServer(lambda _: Unauthorized("401"))
    pool = Pool([(server.url, server.connect)], clock=FakeClock())
    with pytest.raises(Unauthorized):
        await pool.start()
    refusing = FakeServer(lambda _: Refused("nothing pleases it"))
    pool = Pool([(refusing.url, refusing.connect)], clock=FakeClock())
    with pytest.raises(WrongRequest, match="harmless"):
        await pool.start()
