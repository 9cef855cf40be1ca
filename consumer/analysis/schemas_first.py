"""A record is analysed once its schema is known: those that wait for one keep no others waiting."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from consumer.processor import Done
from consumer.records import Record
from runtime.errors import AccessDenied
from runtime.registry.errors import RegistryDenied
from runtime.registry.framing import SchemaRef, read_framing
from runtime.registry.reading import SchemaReader

Analyse = Callable[[Sequence[Record], Done], Awaitable[None]]


class SchemasFirst:
    """Has schemas asked for, once each, ahead of the records that need them."""

    def __init__(self, reader: SchemaReader) -> None:
        self._reader = reader
        self.waiting = 0
        """Records that wait for a schema now."""

    @property
    def out(self) -> bool:
        """Whether records wait for a registry that doesn't answer: no reason to restart."""
        return bool(self.waiting) and self._reader.unavailable

    async def process(self, analyse: Analyse, records: Sequence[Record], done: Done) -> None:
        """Analyse these: those whose schema is known at once, the others as it becomes known.

        A registry that doesn't answer is waited for; nothing is refused for that.

        Raises:
            AccessDenied: the registry refuses us.
            Exception: what `analyse` raised first.
        """
        ready: list[Record] = []
        waiting: defaultdict[SchemaRef, list[Record]] = defaultdict(list)
        for record in records:
            framed = None if record.value is None else read_framing(record.value, record.headers)
            if framed is None or self._reader.knows(framed.ref):
                ready.append(record)
            else:
                waiting[framed.ref].append(record)
        if not waiting:
            await analyse(ready, done)
            return
        parts = [self._when_known(analyse, ref, late, done) for ref, late in waiting.items()]
        if ready:
            parts.append(_call(analyse, ready, done))
        await _all_of(parts)

    async def _when_known(
        self, analyse: Analyse, ref: SchemaRef, records: Sequence[Record], done: Done
    ) -> None:
        self.waiting += len(records)
        try:
            await self._reader.wait_for((ref,))
        except RegistryDenied as error:
            raise AccessDenied(str(error)) from error
        finally:
            self.waiting -= len(records)
        await analyse(records, done)


async def _call(analyse: Analyse, records: Sequence[Record], done: Done) -> None:
    await analyse(records, done)


async def _all_of(parts: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Wait for all; with the first that fails the others are cancelled, and its error is raised."""
    tasks = [asyncio.get_running_loop().create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
