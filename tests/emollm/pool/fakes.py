"""The pool's surroundings under a test's control: time, servers, and who watches."""

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import Callable

from emollm.errors import GenerationFailed, ModelError
from emollm.pool import BreakerState, Pool, PoolOptions, Prove
from emollm.protocol import GenerateParams, Generation, PoolAnswer, Prompt, ServerInfo

PARAMS = GenerateParams(max_new_tokens=16)
INFO = ServerInfo(
    dialect="tgi", model_id="emollama", model_revision="r1", max_concurrent_requests=32
)
Reply = Callable[[str], Generation | ModelError]


def prompts(*texts: str, task: str = "V-reg") -> list[Prompt]:
    return [Prompt(text=text, params=PARAMS, task=task) for text in texts]


def echo(prompt: str) -> Generation:
    return Generation(text=f"re: {prompt}")


TEXTS = tuple(f"post {number}" for number in range(200))


def texts_of(answers: list[PoolAnswer | ModelError]) -> list[str]:
    assert all(isinstance(answer, PoolAnswer) for answer in answers), answers
    return [answer.text for answer in answers if isinstance(answer, PoolAnswer)]


def expected(*texts: str) -> list[str]:
    return [f"re: {text}" for text in texts]


async def until(holds: Callable[[], bool]) -> None:
    """Let the event loop run until something holds. It is a failure if it never does."""
    for _ in range(20_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to hold")


class FakeClock:
    """Time stands still until `advance`; with `running`, it jumps to whatever is awaited next."""

    def __init__(self, *, running: bool = True) -> None:
        self.now = 1000.0
        self.running = running
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), future))
        if self.running:
            asyncio.get_running_loop().call_soon(self._jump)
        await future

    @property
    def sleeping(self) -> int:
        return sum(not future.done() for *_, future in self._sleepers)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        while self._sleepers and self._sleepers[0][0] <= self.now:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)

    def _jump(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if self._sleepers:
            self.advance(max(0.0, self._sleepers[0][0] - self.now))


class FakeServer:
    """A ModelClient that answers as `reply` says, a few turns of the loop later.

    With `batched`, prompts that are in flight together are one batch, and a failing one takes its
    mates along, as on a GPU. With `gate` closed, it hangs.
    """

    def __init__(
        self,
        reply: Reply = echo,
        *,
        url: str = "http://gpu",
        info: ServerInfo | ModelError = INFO,
        batched: bool = False,
        clock: FakeClock | None = None,
    ) -> None:
        self._url = url
        self.reply = reply
        self.information = info
        self.batched = batched
        self.clock = clock
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.cancelled: list[str] = []
        self.in_flight: list[str] = []
        self.most_in_flight = 0
        self.company: dict[str, list[int]] = {}
        self.closed = False
        self._batch: list[tuple[str, asyncio.Future[Generation | ModelError]]] = []

    @property
    def url(self) -> str:
        return self._url

    async def connect(self) -> "FakeServer | ModelError":
        return self

    async def generate(
        self, prompt: str, params: GenerateParams, *, timeout_s: float
    ) -> Generation | ModelError:
        self.asked.append(prompt)
        self.in_flight.append(prompt)
        self.most_in_flight = max(self.most_in_flight, len(self.in_flight))
        self.company.setdefault(prompt, []).append(len(self.in_flight))
        try:
            await self.gate.wait()
            for _ in range(3):
                await asyncio.sleep(0)
            if self.clock is not None:
                self.clock.now += 0.001
            answer = await self._in_batch(prompt) if self.batched else self.reply(prompt)
        except asyncio.CancelledError:
            self.cancelled.append(prompt)
            raise
        finally:
            self.in_flight.remove(prompt)
        if isinstance(answer, Generation):
            self.answered.append(prompt)
        return answer

    async def _in_batch(self, prompt: str) -> Generation | ModelError:
        future = asyncio.get_running_loop().create_future()
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._run)
        self._batch.append((prompt, future))
        answer: Generation | ModelError = await future
        return answer

    def _run(self) -> None:
        batch, self._batch = self._batch, []
        answers = [self.reply(prompt) for prompt, _ in batch]
        broken = any(isinstance(answer, GenerationFailed) for answer in answers)
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(
                    GenerationFailed("the batch failed", status=424) if broken else answer
                )

    async def info(self, *, timeout_s: float) -> ServerInfo | ModelError:
        return self.information

    async def aclose(self) -> None:
        self.closed = True


class Watcher:
    """A PoolObserver that remembers."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.limits: dict[str, list[int]] = {}
        self.breakers: dict[str, list[BreakerState]] = {}

    def on_request(self, server: str, task: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.outcomes[outcome] += 1

    def on_limit(self, server: str, limit: int) -> None:
        self.limits.setdefault(server, []).append(limit)

    def on_breaker(self, server: str, state: BreakerState) -> None:
        self.breakers.setdefault(server, []).append(state)


class Started:
    """`async with Started(server, …) as pool`: a started pool that leaves nothing behind."""

    def __init__(
        self,
        *servers: FakeServer,
        options: PoolOptions | None = None,
        prove: Prove | None = None,
        observer: Watcher | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.servers = servers
        self.pool = Pool(
            [(server.url, server.connect) for server in servers],
            options,
            prove=prove,
            observer=observer,
            clock=clock or FakeClock(),
            rand=lambda: 0.5,
        )

    async def __aenter__(self) -> Pool:
        self.before = asyncio.all_tasks()
        await self.pool.start()
        for server in self.servers:
            server.asked.clear()
            server.answered.clear()
            server.company.clear()
            server.most_in_flight = 0
        return self.pool

    async def __aexit__(self, *_: object) -> None:
        await self.pool.aclose()
        assert asyncio.all_tasks() <= self.before, "a task outlived the pool"
        assert all(server.closed for server in self.servers)
        assert not any(server.in_flight for server in self.servers)
