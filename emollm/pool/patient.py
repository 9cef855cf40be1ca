"""A client that waits for a busy server: for the canary."""

from collections.abc import Callable

from emollm.errors import ModelError, Overloaded
from emollm.protocol import GenerateParams, Generation, ModelClient, ServerInfo
from runtime.clock import Clock, sleep

PATIENCE_S = 120.0
"""Seconds of refusals (429) that one prompt of the canary endures. Where others keep a server so
full that one request in twenty gets through, nearly every prompt is answered by then. With a few
tries each, a consumer that started beside the others waited 92 seconds, or never got in."""
_FIRST_S = 0.05
_MAX_S = 1.0


class PatientClient:
    """A `ModelClient` whose prompts are asked again, ever more rarely, while the server is full."""

    def __init__(
        self,
        client: ModelClient,
        clock: Clock,
        rand: Callable[[], float],
        busy: Callable[[Overloaded], None],
    ) -> None:
        """`busy` is told of each refusal."""
        self._client = client
        self._busy = busy
        self._clock = clock
        self._rand = rand

    @property
    def url(self) -> str:
        """Base URL, without credentials."""
        return self._client.url

    async def generate(
        self, prompt: str, params: GenerateParams, *, timeout_s: float
    ) -> Generation | ModelError:
        """Answer one prompt; Overloaded only after `PATIENCE_S`. Each request has `timeout_s`."""
        until = self._clock.monotonic() + PATIENCE_S
        pause = _FIRST_S
        while True:
            answer = await self._client.generate(prompt, params, timeout_s=timeout_s)
            if not isinstance(answer, Overloaded) or self._clock.monotonic() >= until:
                return answer
            self._busy(answer)
            await sleep(self._clock, pause * (0.5 + self._rand() / 2))
            pause = min(_MAX_S, 2 * pause)

    async def info(self, *, timeout_s: float) -> ServerInfo | ModelError:
        """Ask the server what it serves."""
        return await self._client.info(timeout_s=timeout_s)

    async def aclose(self) -> None:
        """Nothing: the client is the pool's."""
