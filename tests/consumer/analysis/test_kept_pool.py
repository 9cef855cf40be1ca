"""The second model's pool is there or it isn't, and whatever ends it, it is opened again."""

import asyncio

import pytest

from consumer.analysis.kept_pool import RETRY_S, KeptPool
from emollm.errors import PoolClosed, Unauthorized
from emollm.pool import Pool
from tests.emollm.pool.fakes import FakeServer, echo, prompts, until
from tests.emollm.pool.simulation import LoopClock, simulated

REFUSED = Unauthorized("wrong key", status=401)


def kept(server: FakeServer) -> KeptPool:
    clock = LoopClock()
    return KeptPool(
        lambda: Pool([(server.url, server.connect)], clock=clock, rand=lambda: 0.5), clock=clock
    )


@simulated
async def test_before_it_runs_nothing_can_be_asked_and_nobody_is_told_a_model() -> None:
    pool = kept(FakeServer())
    assert not pool.available
    assert pool.problems() == ["it is not asked yet"]
    pool.suspect_model()
    with pytest.raises(RuntimeError):
        _ = pool.info
    with pytest.raises(PoolClosed):
        pool.open_call(lambda *_: None, lambda _: None)


@simulated
async def test_refused_credentials_end_nothing_and_are_tried_again_each_minute() -> None:
    server = FakeServer(lambda _: REFUSED)
    pool = kept(server)
    running = asyncio.ensure_future(pool.run())
    await until(lambda: pool.problem is not None)
    assert "wrong key" in pool.problems()[0]
    waiting = asyncio.ensure_future(pool.wait_available())
    await asyncio.sleep(RETRY_S / 2)
    assert not waiting.done()
    server.reply = echo
    await asyncio.sleep(RETRY_S)
    assert waiting.done()
    assert pool.available
    assert pool.problems() == []
    answered: list[int] = []
    call = pool.open_call(lambda index, _: answered.append(index), lambda _: None)
    call.send(prompts("x"))
    await until(lambda: answered == [0])
    call.close()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert server.closed
    assert not pool.available


@simulated
async def test_a_key_that_is_revoked_later_closes_the_pool_and_a_new_one_follows() -> None:
    server = FakeServer()
    pool = kept(server)
    running = asyncio.ensure_future(pool.run())
    await pool.wait_available()
    server.reply = lambda _: REFUSED
    errors: list[BaseException] = []
    call = pool.open_call(lambda *_: None, errors.append)
    call.send(prompts("x"))
    await until(lambda: bool(errors))
    assert isinstance(errors[0], Unauthorized)
    await until(lambda: not pool.available)
    server.reply = echo
    await asyncio.sleep(2 * RETRY_S)
    assert pool.available
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
