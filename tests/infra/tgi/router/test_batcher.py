"""Prompts of different requests share passes, within bounds, and none waits without end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from infra.tgi.engine import EngineInfo, Finish, Job, Sampling
from infra.tgi.errors import EngineError
from infra.tgi.router.batcher import Batcher
from infra.tgi.router.errors import GenerationError
from infra.tgi.router.metrics import Metrics
from tests.infra.tgi.stand_in import StandIn


def _batcher(engine: StandIn, *, prompts: int = 64, tokens: int = 100_000) -> Batcher:
    return Batcher(engine, Metrics(), max_prompts=prompts, max_tokens=tokens)


def _job(length: int = 3) -> Job:
    return Job(list(range(1000, 1000 + length)), 20)


async def test_prompts_that_queue_up_while_a_batch_runs_share_the_next_pass() -> None:
    engine = StandIn()
    batcher = _batcher(engine)
    engine.gate.clear()
    first = batcher.submit(_job())
    await asyncio.to_thread(engine.entered.acquire)
    rest = [batcher.submit(_job()) for _ in range(10)]
    engine.gate.set()
    await asyncio.gather(first.future, *(one.future for one in rest))
    assert engine.batches == [1, 10]
    batcher.close()


async def test_what_comes_in_one_turn_of_the_loop_shares_a_pass_without_a_wait() -> None:
    engine = StandIn()
    batcher = _batcher(engine)
    pending = [batcher.submit(_job()) for _ in range(7)]
    await asyncio.gather(*(one.future for one in pending))
    assert engine.batches == [7]
    batcher.close()


async def test_a_pass_never_holds_more_prompts_than_allowed() -> None:
    engine = StandIn()
    batcher = _batcher(engine, prompts=4)
    pending = [batcher.submit(_job()) for _ in range(10)]
    await asyncio.gather(*(one.future for one in pending))
    assert engine.batches == [4, 4, 2]
    batcher.close()


async def test_a_pass_never_holds_more_padded_tokens_than_allowed() -> None:
    engine = StandIn()
    batcher = _batcher(engine, tokens=100)
    lengths = [10, 90, 10, 90, 10, 10, 200]
    pending = [batcher.submit(_job(length)) for length in lengths]
    await asyncio.gather(*(one.future for one in pending))
    # The short ones together, each long one alone: also the one that is over the bound.
    assert engine.batches == [4, 1, 1, 1]
    batcher.close()


async def test_a_large_enough_pass_goes_without_prompts_that_would_pad_it() -> None:
    engine = StandIn()
    batcher = _batcher(engine)
    pending = [batcher.submit(_job(10 if at % 2 else 40)) for at in range(40)]
    await asyncio.gather(*(one.future for one in pending))
    # Twenty alike, then what pads by no more than a quarter; the rest comes next.
    assert engine.batches == [27, 13]
    batcher.close()


async def test_jobs_with_different_keys_never_share_a_pass() -> None:
    class Keyed(StandIn):
        passes: list[set[int]]

        def batch_key(self, job: Job) -> int:
            return job.max_new_tokens

        def generate(self, jobs: Sequence[Job], finish: Finish) -> None:
            self.passes.append({job.max_new_tokens for job in jobs})
            super().generate(jobs, finish)

    engine = Keyed()
    engine.passes = []
    batcher = _batcher(engine)
    pending = [batcher.submit(Job([1000], 10 + at % 2)) for at in range(8)]
    await asyncio.gather(*(one.future for one in pending))
    assert engine.passes == [{10}, {11}]
    assert engine.batches == [4, 4]
    batcher.close()


async def test_the_oldest_prompt_is_in_the_next_pass_whatever_its_length() -> None:
    engine = StandIn()
    batcher = _batcher(engine, prompts=2)
    long = batcher.submit(_job(50))
    for _ in range(6):
        batcher.submit(_job(3))
    await long.future
    assert len(engine.batches) == 1
    batcher.close()


async def test_a_cancelled_prompt_is_dropped_from_the_queue() -> None:
    engine = StandIn()
    batcher = _batcher(engine)
    engine.gate.clear()
    first = batcher.submit(_job())
    await asyncio.to_thread(engine.entered.acquire)
    left, stays = batcher.submit(_job()), batcher.submit(_job())
    batcher.cancel(left)
    engine.gate.set()
    await asyncio.gather(first.future, stays.future)
    assert engine.batches == [1, 1]
    batcher.close()


async def test_a_failed_pass_fails_its_prompts_and_no_others() -> None:
    engine = StandIn()
    batcher = _batcher(engine)
    engine.failing = RuntimeError("out of memory")
    with pytest.raises(GenerationError, match="Server error: RuntimeError: out of memory"):
        await batcher.submit(_job()).future
    engine.failing = None
    assert (await batcher.submit(_job()).future).text == "joy, optimism."
    batcher.close()


async def test_one_prompts_own_fault_leaves_its_neighbours_answered() -> None:
    engine = StandIn()
    batcher = _batcher(engine)
    bad = _job()
    bad.grammar = "([0-9"
    refused, answered = batcher.submit(bad), batcher.submit(_job())
    with pytest.raises(GenerationError, match="unterminated character set"):
        await refused.future
    assert (await answered.future).text == "joy, optimism."
    batcher.close()


async def test_an_engine_that_forgets_a_prompt_does_not_leave_it_hanging() -> None:
    class Forgetful(StandIn):
        def generate(self, jobs: object, finish: object) -> None:
            del jobs, finish

    batcher = _batcher(Forgetful())
    with pytest.raises(Exception, match="Incomplete generation"):
        await batcher.submit(_job()).future
    batcher.close()


async def test_as_many_passes_run_at_once_as_the_engine_takes() -> None:
    engine = StandIn(EngineInfo("model", parallel=2))
    batcher = _batcher(engine, prompts=1)
    engine.gate.clear()
    pending = [batcher.submit(_job()) for _ in range(3)]
    for _ in range(2):
        await asyncio.to_thread(engine.entered.acquire)
    assert len(engine.batches) == 2
    engine.gate.set()
    await asyncio.gather(*(one.future for one in pending))
    batcher.close()


async def test_jobs_that_need_the_sampler_do_not_keep_the_others_waiting() -> None:
    class Slow(StandIn):
        def generate(self, jobs: Sequence[Job], finish: Finish) -> None:
            if jobs[0].needs_sampler:
                super().generate(jobs, finish)  # waits for the gate
            else:
                for job in jobs:
                    self._answer(job, finish)

        def batch_key(self, job: Job) -> bool:
            return job.needs_sampler

    engine = Slow()
    batcher = _batcher(engine)
    engine.gate.clear()
    slow = [batcher.submit(_sampled()) for _ in range(2)]
    await asyncio.to_thread(engine.entered.acquire)
    waiting = batcher.submit(_sampled())
    for _ in range(3):
        assert (await batcher.submit(_job()).future).text == "joy, optimism."
    assert not any(one.future.done() for one in (*slow, waiting))
    engine.gate.set()
    await asyncio.gather(*(one.future for one in (*slow, waiting)))
    assert engine.batches == [2, 1]
    batcher.close()


def _sampled() -> Job:
    return Job([1000], 20, sampling=Sampling(do_sample=True))


def test_an_engine_error_reaches_the_client_in_its_own_words() -> None:
    assert str(GenerationError(str(EngineError("no")))).endswith("Server error: no")
