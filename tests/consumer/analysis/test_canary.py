"""Asking the canary: gently, and of a server that serves others, too."""

import asyncio
import itertools

from consumer.analysis.canary import prover
from consumer.settings import Model
from emollm.errors import (
    GenerationFailed,
    ModelError,
    Overloaded,
    Refused,
    TimedOut,
    WrongModel,
)
from emollm.protocol import GenerateParams, Generation, ServerInfo
from emollm.tasks import E_C, EI_REG, V_REG
from tests.tgi import joyful


class SmallServer:
    """A model server that refuses what it can't take at once."""

    url = "http://small"

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked = self.refused = 0
        self._now = 0

    async def generate(
        self, prompt: str, params: GenerateParams, *, timeout_s: float
    ) -> Generation | ModelError:
        self._now += 1
        try:
            if self._now > self.most:
                self.refused += 1
                return Overloaded("429", server=self.url)
            await asyncio.sleep(0)  # lets the others come
            self.asked += 1
            return Generation(text=joyful(prompt))
        finally:
            self._now -= 1

    async def info(self, *, timeout_s: float) -> ServerInfo:
        return ServerInfo(
            dialect="tgi",
            model_id="lzw1008/Emollama-chat-7b",
            max_concurrent_requests=self.most,
            max_input_tokens=1_000,
        )

    async def aclose(self) -> None:
        """Nothing to close."""


async def test_a_server_of_two_places_passes_without_being_overrun() -> None:
    server = SmallServer(most=2)
    assert await prover(Model(), (V_REG, E_C, EI_REG))(server) is None
    assert server.asked > server.most
    assert server.refused == 0


async def test_a_server_that_hangs_is_not_asked_all_canaries_one_deadline_after_the_other() -> None:
    """Whoever starts or waits for it to come back would wait three deadlines instead of one."""
    server = SmallServer(most=2)
    asked = 0

    async def hangs(
        prompt: str, params: GenerateParams, *, timeout_s: float
    ) -> Generation | ModelError:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return TimedOut("no answer", server=server.url)

    server.generate = hangs  # type: ignore[method-assign]
    problem = await prover(Model(), (V_REG, E_C, EI_REG))(server)
    assert isinstance(problem, TimedOut)
    assert asked == server.most


async def test_a_failure_now_and_then_is_not_the_wrong_model() -> None:
    server = SmallServer(most=4)
    answer, calls = server.generate, itertools.count()

    async def flaky(
        prompt: str, params: GenerateParams, *, timeout_s: float
    ) -> Generation | ModelError:
        if next(calls) % 3 == 0:
            return GenerationFailed("424", server=server.url)
        return await answer(prompt, params, timeout_s=timeout_s)

    server.generate = flaky  # type: ignore[method-assign]
    assert await prover(Model(), (V_REG, E_C, EI_REG))(server) is None


async def test_what_fails_for_good_is_told() -> None:
    server = SmallServer(most=0)
    assert isinstance(await prover(Model(), (V_REG,))(server), Overloaded)


async def test_a_server_that_refuses_every_known_text_is_the_wrong_model() -> None:
    """Its limits are too small for a line, say: every post would be refused as well."""
    server = SmallServer(most=4)

    async def refuse(
        prompt: str, params: GenerateParams, *, timeout_s: float
    ) -> Generation | ModelError:
        return Refused("inputs must have less than 8 tokens", server=server.url, status=422)

    server.generate = refuse  # type: ignore[method-assign]
    problem = await prover(Model(), (V_REG,))(server)
    assert isinstance(problem, WrongModel)
    assert "less than 8 tokens" in str(problem)


async def test_bart_on_a_server_that_answers_garbage_is_told_what_to_run_instead() -> None:
    """TGI loads it with fresh weights and answers 200."""
    server = SmallServer(most=4)

    async def garbage(
        prompt: str, params: GenerateParams, *, timeout_s: float
    ) -> Generation | ModelError:
        return Generation(text="the the the")

    server.generate = garbage  # type: ignore[method-assign]
    problem = await prover(Model(name="Emobart-large"), (V_REG,))(server)
    assert isinstance(problem, WrongModel)
    assert "emostream serve --model-id lzw1008/Emobart-large" in str(problem)
