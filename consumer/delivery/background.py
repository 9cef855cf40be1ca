"""The service's background tasks, every one watched: none ends without somebody noticing."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from runtime.errors import Broken


class BackgroundTasks:
    """Tasks by name. One that ends unasked, cancelled included, is a failure."""

    def __init__(self, on_failure: Callable[[BaseException], None]) -> None:
        self._on_failure = on_failure
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(
        self, name: str, coroutine: Coroutine[Any, Any, None], *, may_end: bool = False
    ) -> None:
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
