"""All rows of a file, many at a time, their lines in order."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from emostream.batch.asking import Asker
from emostream.batch.rows import Row

_WINDOW = 4
"""Rows in flight for each prompt in flight: a slow first row keeps the servers busy for as long."""


async def run(
    rows: Iterable[Row],
    asker: Asker,
    *,
    concurrency: int,
    skip: int,
    write: Callable[[bytes], None],
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Ask about each row after the first `skip`, and write the lines in the rows' order.

    At most 4 * `concurrency` rows are in memory, however many there are.

    Raises:
        emollm.errors.Stop: no server can be asked until a human acts. What was answered is kept.
    """
    flying: deque[asyncio.Task[bytes]] = deque()

    async def land() -> None:
        write(await flying.popleft())
        asker.counts.rows += 1
        progress()

    try:
        for row in islice(rows, skip, None):
            flying.append(asyncio.create_task(asker.line(row)))
            while len(flying) >= _WINDOW * concurrency or (flying and flying[0].done()):
                await land()
        while flying:
            await land()
    finally:
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)
