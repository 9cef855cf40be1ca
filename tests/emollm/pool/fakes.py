"""The pool's surroundings under a test's control: servers, and who watches. Time is simulated."""

import asyncio
from collections import Counter
from collections.abc import Callable

from emollm.errors import GenerationFailed, ModelError, TimedOut
from emollm.pool import BreakerState, Pool, PoolOptions, Prove
from emollm.protocol import GenerateParams, Generation, PoolAnswer, Prompt, ServerInfo
from tests.emollm.pool.simulation import LoopClock

PARAMS = GenerateParams(max_new_tokens=16)
INFO = ServerInfo(
    dialect="tgi", model_id="emollama", model_revision="r1", max_concurrent_requests=32
)
Reply = Callable[[str], Generation | ModelError]
HANG = TimedOut("hangs")
"""A reply that never comes."""


def prompts(*texts: str, task: str = "V-reg", post: str | None = None) -> list[Prompt]:
    return [Prompt(text=text, params=PARAMS, task=task, post=post) for text in texts]


def echo(prompt: str) -> Generation:
    return Generation(text=f"re: {prompt}")


TEXTS = tuple(f"post {number}" for number in range(200))


def texts_of(answers: list[PoolAnswer | ModelError]) -> list[str]:
    assert all(isinstance(answer, PoolAnswer) for answer in answers), answers
    return [answer.text for answer in answers if isinstance(answer, PoolAnswer)]


def expected(*texts: str) -> list[str]:
    return [f"re: {text}" for text in texts]


async def until(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    """Let simulated time pass until something holds. It is a failure if it never does."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    step_s = 0.0005
    while not holds():
        assert loop.time() < end, "it never came to hold"
        await asyncio.sleep(step_s)
        step_s = min(0.05, 1.02 * step_s)


class FakeServer:
    """A ModelClient that answers as `reply` says, after `latency_s`.

    With `batched`, prompts that are in flight together are one batch, and a failing one takes its
    mates along, as on a GPU. With `gate` closed, or where the reply is `HANG`, it hangs until the
    deadline.
    """

    def __init__(
        self,
        reply: Reply = echo,
        *,
        url: str = "http://gpu",
        info: ServerInfo | ModelError = INFO,
        batched: bool = False,
        latency_s: float = 0.001,
    ) -> None:
        self._url = url
        self.reply = reply
        self.information = info
        self.batched = batched
        self.latency_s = latency_s
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
            async with asyncio.timeout(timeout_s):
                answer = await self._answer(prompt)
        except TimeoutError:
            answer = TimedOut(f"no answer within {timeout_s} s")
        except asyncio.CancelledError:
            self.cancelled.append(prompt)
            raise
        finally:
            self.in_flight.remove(prompt)
        if isinstance(answer, Generation):
            self.answered.append(prompt)
        return answer

    async def _answer(self, prompt: str) -> Generation | ModelError:
        await self.gate.wait()
        await asyncio.sleep(self.latency_s)
        answer = await self._in_batch(prompt) if self.batched else self.reply(prompt)
        if answer is HANG:
            await asyncio.Event().wait()
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
    ) -> None:
        self.servers = servers
        self.pool = Pool(
            [(server.url, server.connect) for server in servers],
            options,
            prove=prove,
            observer=observer,
            clock=LoopClock(),
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
