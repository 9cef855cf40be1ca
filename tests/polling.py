"""Waiting for what gives no event: another process's doing, a snapshot, a log."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Return as soon as it holds, in real time. Raises TimeoutError where it doesn't."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
