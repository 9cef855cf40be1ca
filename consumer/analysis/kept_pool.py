"""The second model's pool: opened in the background, and again whenever it ends."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import structlog

from consumer.settings import Second
from consumer.telemetry import log_events
from emollm.errors import ModelError, PoolBroken, PoolClosed
from emollm.pool import Pool, ServerState, advice
from emollm.protocol import OnAnswer, OnError, PromptCall, ServerInfo
from runtime.clock import Clock, SystemClock, sleep

RETRY_S = 60.0
"""A pool that ended waits for a human (a wrong key, another model): tried once a minute, as the
pool does with one server of several."""

_log = structlog.get_logger("consumer")


class KeptPool:
    """A pool that nobody has to wait for: it is there, or it isn't. An `AvailablePool`.

    What ends a pool (refused credentials, the wrong model, a bug in it) ends nothing here.
    """

    def __init__(self, make: Callable[[], Pool], *, clock: Clock | None = None) -> None:
        """`make` makes a pool that isn't started."""
        self._make = make
        self._clock = clock or SystemClock()
        self._pool: Pool | None = None
        self._made = asyncio.Event()
        self.problem: str | None = None
        """Why the last pool ended; None while there is one that takes prompts."""

    async def run(self) -> NoReturn:
        """Keep a pool open until cancelled."""
        while True:
            pool = self._pool = self._make()
            self._made.set()
            try:
                await pool.start()
                self.problem = None
                info = pool.info
                _log.info(
                    log_events.SECOND_READY, model=info.model_id, revision=info.model_revision
                )
                await pool.watch()
            except (ModelError, PoolBroken, PoolClosed, OSError, ValueError) as error:
                words = (
                    advice(error, Second.section) if isinstance(error, ModelError) else str(error)
                )
                self.problem = words or type(error).__name__
                _log.warning(log_events.SECOND_OUT, error=type(error).__name__, reason=self.problem)
            finally:
                self._pool = None
                self._made.clear()
                await pool.aclose()
            await sleep(self._clock, RETRY_S)

    def servers(self) -> tuple[ServerState, ...]:
        """Each server as it is now; none while there is no pool."""
        return self._pool.servers() if self._pool is not None else ()

    def problems(self) -> list[str]:
        """What is wrong, a sentence for each server that takes no prompts; empty where all do."""
        if self._pool is None:
            return [self.problem or "it is not asked yet"]
        return [f"{one.url}: {one.problem}" for one in self.servers() if one.problem is not None]

    @property
    def available(self) -> bool:
        """Whether a server takes prompts."""
        return self._pool is not None and self._pool.available

    async def wait_available(self) -> None:
        """Return as soon as `available` is True; never raises."""
        while not self.available:
            await self._made.wait()
            pool = self._pool
            if pool is None:
                continue
            try:
                await pool.wait_available()
            except (ModelError, PoolBroken, PoolClosed):
                await asyncio.sleep(0)  # `run` is about to drop it

    def suspect_model(self) -> None:
        """Have every server pass the canary again."""
        if self._pool is not None:
            self._pool.suspect_model()

    @property
    def info(self) -> ServerInfo:
        """Of the model. Raises RuntimeError while no server has told."""
        if self._pool is None:
            raise RuntimeError("no server of the second model can be asked now")
        return self._pool.info

    def open_call(self, on_answer: OnAnswer, on_error: OnError, *, turn: int = 0) -> PromptCall:
        """Begin to ask prompts. See `emollm.protocol.ModelPool`.

        Raises:
            PoolClosed: there is no pool now.
        """
        if self._pool is None:
            raise PoolClosed("no server of the second model can be asked now")
        return self._pool.open_call(on_answer, on_error, turn=turn)
