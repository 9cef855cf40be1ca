"""A pool's own life: its background tasks, and how it ends."""

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from emollm.clients import events
from emollm.errors import GenerationFailed, ModelError, PoolBroken

_log = structlog.stdlib.get_logger(__name__)


class Life:
    """Watches every background task: one that ends unasked, cancelled included, ends the pool."""

    def __init__(self, on_broken: Callable[[BaseException], None]) -> None:
        """`on_broken` is called, once, with the reason; it has to call `end`."""
        self._on_broken = on_broken
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self._ended: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing is answered any more."""
        return self._ended is not None

    def why(self) -> BaseException:
        """Why it ended: a new object each time, or many raisers would share one traceback."""
        error = self._ended
        assert error is not None
        if isinstance(error, ModelError):
            return type(error)(str(error), server=error.server, status=error.status)
        return type(error)(str(error))

    def end(self, error: BaseException) -> None:
        """End it; the first reason stays. Cancels all tasks and wakes who waits."""
        if self._ended is None:
            self._ended = error
        for task in self._tasks:
            task.cancel()
        self.changed()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something in the background until it ends or the pool does."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def watched(self, call: Callable[[], None]) -> Callable[[], None]:
        """Give a timer's callback whose error ends the pool, instead of a line in asyncio's log."""

        def watch() -> None:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing would go on
                self._broken(f"{type(error).__name__} at {raised_at(error)}")

        return watch

    async def wait_tasks(self) -> None:
        """Wait for all of them to be over, after `end`."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def next_change(self) -> None:
        """Wait until something changed: a server is ready, or the pool has ended."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def changed(self) -> None:
        """Wake those who wait for a change."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        name = getattr(task.get_coro(), "__qualname__", "a task of it")
        try:
            task.result()
        except asyncio.CancelledError as error:
            self._broken(f"{name} was cancelled at {raised_at(error)}")
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing would go on
            self._broken(f"{type(error).__name__} at {raised_at(error)}")

    def _broken(self, why: str) -> None:
        if self._ended is None:
            _log.error(events.POOL_BROKEN, reason=why)
            words = f"the pool of model servers is broken: {why}; this is a bug"
            self._on_broken(PoolBroken(words))


def raised_at(error: BaseException) -> str:
    """Say where an exception was raised: file and line, no words of it."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "?"


def crashed(server: str, error: Exception) -> GenerationFailed:
    """Make a failure of an exception that nobody foresaw. Its words may quote the post."""
    name, where = type(error).__name__, raised_at(error)
    _log.error(events.REQUEST_CRASHED, server=server, error=name, where=where)
    return GenerationFailed(f"{name} at {where} in our client; this is a bug", server=server)
