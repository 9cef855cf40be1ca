"""Threads that tokenize and prepare grammars, so that the event loop never does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from infra.tgi.engine import Encoded, Engine

_T = TypeVar("_T")

#: Texts of more characters are tokenized alone: 1.9 MB took TGI 1.4 s, and what shares its call
#: waits as long.
_LARGE = 16_384

#: Texts in one call, so that the first ones don't wait for a long queue behind them.
_TEXTS = 256


class ValidationWorkers:
    """Collects the texts that arrive while a call runs, and tokenizes them in the next one.

    Large texts and grammars have `workers` threads of their own.
    """

    def __init__(self, engine: Engine, *, workers: int) -> None:
        self._engine = engine
        self._small = ThreadPoolExecutor(1, "tokenize")
        self._slow = ThreadPoolExecutor(max(1, workers), "validate")
        self._waiting: list[tuple[str, asyncio.Future[Encoded]]] = []
        self._busy = False

    async def encode(self, text: str, *, add_special_tokens: bool = True) -> Encoded:
        """The tokens of a text."""
        loop = asyncio.get_running_loop()
        if len(text) > _LARGE or not add_special_tokens:
            return await self.run(lambda: self._alone(text, add_special_tokens))
        future: asyncio.Future[Encoded] = loop.create_future()
        self._waiting.append((text, future))
        if not self._busy:
            self._busy = True
            # Not at once: texts that arrive in this turn of the loop join.
            loop.call_soon(self._start, loop)
        return await future

    async def run(self, work: Callable[[], _T]) -> _T:
        """What `work` returns or raises, run in one of the threads for slow work."""
        return await asyncio.get_running_loop().run_in_executor(self._slow, work)

    def _alone(self, text: str, add_special_tokens: bool) -> Encoded:
        return self._engine.encode([text], add_special_tokens=add_special_tokens)[0]

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._waiting = self._waiting[:_TEXTS], self._waiting[_TEXTS:]
        call = loop.run_in_executor(self._small, self._engine.encode, [text for text, _ in batch])
        call.add_done_callback(lambda done: self._done(loop, batch, done))

    def _done(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[tuple[str, asyncio.Future[Encoded]]],
        call: asyncio.Future[list[Encoded]],
    ) -> None:
        if self._waiting:
            self._start(loop)
        else:
            self._busy = False
        error = call.exception()
        for index, (_, future) in enumerate(batch):
            if future.done():
                continue  # its client left
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(call.result()[index])

    def close(self) -> None:
        """End the threads."""
        self._small.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)
