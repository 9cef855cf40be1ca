"""Posts behind a moment: few look-ups at once, each with an end, for each viewer and in all."""

import asyncio
from collections import Counter
from collections.abc import Awaitable

from monitor.page.data import Posts, UnavailableError
from monitor.page.hub import Hub
from monitor.page.wire import PostList, shown

LIMIT = 100
"""Posts that one look-up shows: more than anyone reads of a minute."""
MAX_SPAN_S = 3_600
"""Seconds of event time that one look-up covers."""
TIMEOUT_S = 10.0
"""Seconds; nobody waits longer for a list."""
_AT_ONCE = 8  # each reads its stretch of the topic: the monitor's own reading comes first
_PER_VIEWER = 2  # a new point is picked while the last one still loads


class BusyError(UnavailableError):
    """The viewer has look-ups running already."""


class Lookups:
    """Runs look-ups within their bounds."""

    def __init__(self, hub: Hub, timeout_s: float = TIMEOUT_S) -> None:
        self._hub = hub
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._running: Counter[str] = Counter()

    async def run(self, viewer: str, asked: Awaitable[Posts]) -> PostList:
        """What was asked for, without posts that were deleted in the meantime.

        Raises:
            BusyError: this viewer has two running.
            UnavailableError: it took too long, or can't be had.
        """
        if self._running[viewer] >= _PER_VIEWER:
            if asyncio.iscoroutine(asked):
                asked.close()
            raise BusyError("your last two look-ups are still running")
        self._running[viewer] += 1
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                found = await asked
        except TimeoutError:
            raise UnavailableError(
                f"the posts could not be read within {self._timeout_s:g} s; try again"
            ) from None
        finally:
            if asyncio.iscoroutine(asked):
                asked.close()
            self._running[viewer] -= 1
            if not self._running[viewer]:
                del self._running[viewer]
        kept = [event for event in found.events if not self._hub.deleted(event.id)]
        return PostList(
            posts=tuple(shown(event) for event in kept[:LIMIT]),
            total=max(found.total - len(found.events) + len(kept), 0),
            note=found.note,
        )
