"""Time, as the pool sees it: a seam, so that tests decide what the clock says."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds, and waiting for them to pass."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed."""


class SystemClock:
    """The machine's own clock."""

    monotonic = staticmethod(time.monotonic)
    """`time.monotonic`, without a call in between: it is read twice a prompt."""

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)
