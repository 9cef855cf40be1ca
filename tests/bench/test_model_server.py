"""The benches' model server keeps the contract that the figures rest on."""

import asyncio
import itertools
import socket
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest

from bench.model.server import ModelServer, Serving
from bench.model.slots import Job, Slots
from bench.model.stub import slots_of
from emollm.canary import CANARIES
from emollm.clients import ServerOptions, detect
from emollm.errors import GenerationFailed, ModelError, Overloaded
from emollm.prompts import PromptBuilder
from emollm.protocol import Generation, ModelClient, Prompt, ServerInfo
from emollm.readers import Unreadable
from emollm.tasks import TASKS

_BUILDER = PromptBuilder(list(TASKS.values()))
_QUESTIONS = [(task, emotion) for task in TASKS.values() for emotion in task.emotions or (None,)]
_PROMPTS = [
    _BUILDER.build(TASKS["V-reg"], _BUILDER.prepare(f"post number {n}")) for n in range(400)
]
_PATIENT_S = 60.0
"""400 prompts at once took 2 s on two cores at load 15; here nothing is ever late."""


async def _client(server: ModelServer) -> ModelClient:
    client = await detect(ServerOptions(url=server.url), timeout_s=_PATIENT_S)
    assert not isinstance(client, ModelError)
    return client


async def _ask(client: ModelClient, prompts: list[Prompt]) -> list[Generation | ModelError]:
    asked = (client.generate(p.text, p.params, timeout_s=_PATIENT_S) for p in prompts)
    return await asyncio.gather(*asked)


async def test_every_answer_can_be_read_and_the_canary_is_content() -> None:
    with ModelServer() as server:
        client = await _client(server)
        info = await client.info(timeout_s=_PATIENT_S)
        assert isinstance(info, ServerInfo)
        assert info.max_concurrent_requests == 128
        for task, emotion in _QUESTIONS:
            texts = [_BUILDER.prepare(f"post number {n}") for n in range(20)]
            prompts = [_BUILDER.build(task, text, emotion) for text in texts]
            values = set()
            for answer in await _ask(client, prompts):
                assert isinstance(answer, Generation)
                value = task.read(answer.text, emotion)
                assert not isinstance(value, Unreadable), answer
                values.add(value)
            assert len(values) > 1
        for canary in CANARIES:
            prepared = _BUILDER.prepare(canary.text)
            prompt = _BUILDER.build(TASKS[canary.task], prepared, canary.emotion)
            (answer,) = await _ask(client, [prompt])
            assert isinstance(answer, Generation)
            assert canary.check(answer.text) is None
        await client.aclose()


async def test_what_is_asked_and_answered_is_counted() -> None:
    with ModelServer(Serving(capacity=40, latency_s=0.05)) as server:
        client = await _client(server)
        answers = await _ask(client, _PROMPTS[:6])
        assert all(isinstance(answer, Generation) for answer in answers)
        stats = server.stats()
        assert (stats.asked, stats.answered, stats.refused) == (6, 6, 0)
        assert (stats.under_way, stats.waiting) == (0, 0)
        assert stats.busy_s == pytest.approx(6 * 0.05)
        await client.aclose()


async def test_one_more_than_it_takes_is_refused() -> None:
    serving = Serving(capacity=0.01, latency_s=200.0, max_concurrent_requests=6)
    with ModelServer(serving) as server:
        client = await _client(server)
        async with asyncio.TaskGroup() as asking:
            asked = [
                asking.create_task(client.generate(p.text, p.params, timeout_s=100.0))
                for p in _PROMPTS[:10]
            ]
            first = itertools.islice(asyncio.as_completed(asked), 4)  # at once, so these are out
            assert [type(await answer) for answer in first] == [Overloaded] * 4
            stats = server.stats()
            assert (stats.asked, stats.answered, stats.refused) == (10, 0, 4)
            assert (stats.under_way, stats.waiting) == (2, 4)
            for task in asked:
                task.cancel()
        await client.aclose()


async def test_the_shares_that_are_to_fail_fail() -> None:
    with ModelServer(Serving(share_424=0.2, share_429=0.1)) as server:
        client = await _client(server)
        answers = await _ask(client, _PROMPTS)
        kinds = Counter(type(answer) for answer in answers)
        stats = server.stats()
        assert kinds[GenerationFailed] == stats.failed_424
        assert kinds[Overloaded] == stats.failed_429
        assert 40 < stats.failed_424 < 120
        assert 15 < stats.failed_429 < 75
        assert stats.asked == stats.answered + stats.failed_424 + stats.failed_429 == 400
        server.fail()
        assert {type(one) for one in await _ask(client, _PROMPTS[:50])} == {Generation}
        await client.aclose()


async def test_it_goes_away_and_comes_back_on_its_port_with_its_counters() -> None:
    with ModelServer() as server:
        client = await _client(server)
        await _ask(client, _PROMPTS[:5])
        before = server.stats()
        # Who asks may be held up for longer than it is away: that it hung up stays to be read.
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        server.away(0.2)
        async with asyncio.timeout(60):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            with suppress(ConnectionResetError):
                await writer.wait_closed()
            while not isinstance((await _ask(client, _PROMPTS[:1]))[0], Generation):
                pass
        stats = server.stats()
        assert stats.answered >= 6
        away_s = (stats.at_s - before.at_s) - (stats.up_s - before.up_s)
        assert away_s >= 0.19  # timers are of a millisecond
        await client.aclose()


def test_it_starts_again_on_its_port_after_a_kill() -> None:
    with ModelServer() as server:
        port = server.port
        server.kill()
        # Nobody else is given it meanwhile: the other tests of a busy machine take free ports, too.
        if sys.platform == "linux":
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
        server.start()
        assert server.port == port
        assert server.stats().asked == 0


class _Timers:
    """A clock that is moved by hand, and timers that fire late."""

    def __init__(self) -> None:
        self.now = 0.0
        self.next: tuple[float, Callable[[], None]] | None = None

    def call_later(self, delay: float, callback: Callable[[], None]) -> "_Timers":
        self.next = (self.now + delay, callback)
        return self

    def cancel(self) -> None:
        self.next = None

    def run(self, until: float, late_s: float) -> None:
        while self.next is not None and self.next[0] + late_s <= until:
            (at, callback), self.next = self.next, None
            self.now = at + late_s
            callback()


def test_its_capacity_is_exact_however_late_timers_fire() -> None:
    timers, done = _Timers(), list[Job]()
    slots = Slots(48, 0.06, clock=lambda: timers.now, call_later=timers.call_later)
    for _ in range(9000):
        slots.add(Job(done.append))
    timers.run(until=10.0, late_s=0.004)
    assert len(done) == pytest.approx(8000, abs=48)
    assert slots.busy_s == pytest.approx(len(done) * 0.06)


def test_a_client_that_hangs_up_frees_its_place() -> None:
    timers, done = _Timers(), list[Job]()
    slots = Slots(1, 1.0, clock=lambda: timers.now, call_later=timers.call_later)
    first, second, third = (Job(done.append) for _ in range(3))
    for job in (first, second, third):
        slots.add(job)
    timers.now = 0.25
    assert slots.drop(second) == 0.0
    assert slots.drop(first) == 0.25
    assert (slots.under_way, slots.waiting) == (1, 0)
    timers.run(until=1.3, late_s=0.0)
    assert done == [third]


def test_a_capacity_that_is_no_whole_number_of_places_is_refused() -> None:
    assert slots_of(Serving(capacity=800, latency_s=0.06)) == 48
    with pytest.raises(ValueError, match="whole number"):
        slots_of(Serving(capacity=100, latency_s=0.055))
