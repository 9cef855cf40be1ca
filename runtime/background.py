"""A program's background work, all of it watched: none ends without somebody noticing."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

from runtime.errors import Broken

_OURS = {
    "consumer", "emollm", "emostream", "infra", "monitor", "producer", "runtime", "schemas",
    "training",
}  # fmt: skip


class BackgroundTasks:
    """Tasks by name. One that ends unasked, cancelled included, is a failure."""

    def __init__(self, on_failure: Callable[[BaseException], None]) -> None:
        self._on_failure = on_failure
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(
        self, name: str, coroutine: Coroutine[Any, Any, None], *, may_end: bool = False
    ) -> asyncio.Task[None]:
        """Run it; with `may_end` it is no failure that it returns."""
        task = asyncio.get_running_loop().create_task(coroutine, name=f"emostream-{name}")
        self._tasks[name] = task

        def ended(task: asyncio.Task[None]) -> None:
            asked_for = self._tasks.get(name) is not task
            if task.cancelled():
                if not asked_for:
                    self._on_failure(Broken(f"the background task {name} was cancelled unasked"))
            elif (error := task.exception()) is not None:
                self._on_failure(error)
            elif not (asked_for or may_end):
                self._on_failure(Broken(f"the background task {name} ended unasked"))

        task.add_done_callback(ended)
        return task

    async def cancel(self, *names: str) -> None:
        """Cancel these (none named: all) and wait until they have ended."""
        tasks = [
            task
            for name in names or tuple(self._tasks)
            if (task := self._tasks.pop(name, None)) is not None
        ]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def __contains__(self, name: str) -> bool:
        return name in self._tasks


async def unended(name: str, work: Awaitable[object], *, may_end: bool = False) -> None:
    """Await what goes on until this task is cancelled: for the children of a task group.

    A task group takes a child that ends, or that a library's cancelled future ends, for one that
    is done.

    Raises:
        Broken: it ended unasked.
    """
    try:
        await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise Broken(f"the background task {name} was cancelled unasked") from None
    if not may_end:
        raise Broken(f"the background task {name} ended unasked")


@contextmanager
def watched_callbacks(on_failure: Callable[[BaseException], None]) -> Iterator[None]:
    """Tell what a timer or callback of ours raises; asyncio only logs it, and work stops.

    What a library's callbacks raise is logged as before: their connections are theirs.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if "handle" in context and isinstance(error, Exception) and _passes_ours(error):
            on_failure(error)
        elif before is not None:
            before(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


def _passes_ours(error: Exception) -> bool:
    return any(
        frame.f_globals.get("__name__", "").partition(".")[0] in _OURS
        for frame, _ in walk_tb(error.__traceback__)
    )
