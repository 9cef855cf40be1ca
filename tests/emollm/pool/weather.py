"""Model servers with weather: at times half of the answers fail, all of them, or all hang."""

import asyncio
import random

from emollm.errors import GenerationFailed, ModelError, Overloaded, Unauthorized, Unavailable
from emollm.protocol import Generation, ServerInfo
from tests.emollm.pool.fakes import FakeServer, Reply, echo

GONE = Unavailable("connection refused", unsent=True)
WEATHER: dict[str, ModelError | None] = {
    "fine": None,
    "frozen": None,
    "429": Overloaded("full", status=429),
    "424": GenerationFailed("failed", status=424),
    "500": Unavailable("internal error", status=500),
    "reset": Unavailable("connection reset", lost=True),
    "refused": Unavailable("connection refused", unsent=True),
    "gone": GONE,
}
LOCKED_OUT = "401"
"""Weather that ends a pool, where all its servers have it."""


class Server(FakeServer):
    """A server with weather: `change` it."""

    def __init__(
        self, url: str, draw: random.Random, reply: Reply = echo, *, model: str = "m"
    ) -> None:
        info = ServerInfo(
            dialect="tgi", model_id=model, max_concurrent_requests=draw.choice([2, 5, 20])
        )
        super().__init__(reply, url=url, info=info, latency_s=draw.choice([0.01, 0.1, 0.4]))
        self._draw = draw
        self._info = info
        self.weather = "fine"

    def change(self, weather: str) -> None:
        self.weather = weather
        self.information = GONE if weather == "gone" else self._info
        if weather == "frozen":
            self.gate.clear()
        else:
            self.gate.set()

    async def _answer(self, prompt: str) -> Generation | ModelError:
        await self.gate.wait()
        await asyncio.sleep(self.latency_s * (0.5 + self._draw.random()))
        await self.gate.wait()
        if self.weather == LOCKED_OUT:
            return Unauthorized("wrong key", status=401)
        error = WEATHER[self.weather]
        if error is None or (error is not GONE and self._draw.random() < 0.5):
            return self.reply(prompt)
        return error
