"""A run that waits for its model servers says so: nobody should watch a bar that doesn't move."""

import sys
from collections.abc import Callable
from typing import NoReturn, Protocol

from runtime.clock import Clock, sleep

_LOOK_S = 1.0
"""Looking costs nothing."""
_TELL_AFTER_S = 5.0
"""A breaker that opens for a burst of failures closes within that; nobody needs to hear of it."""


class Watched(Protocol):
    """What is watched of a pool of model servers."""

    @property
    def available(self) -> bool:
        """Whether a server takes prompts."""


def to_stderr(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")


async def tell_outages(
    pool: Watched, clock: Clock, tell: Callable[[str], None] = to_stderr
) -> NoReturn:
    """Tell when no server has taken prompts for some seconds, and when one does again.

    Runs until it is cancelled.
    """
    since: float | None = None
    told = False
    while True:
        await sleep(clock, _LOOK_S)
        now = clock.monotonic()
        if pool.available:
            if told:
                tell("a model server answers again")
            since, told = None, False
        elif since is None:
            since = now
        elif now - since >= _TELL_AFTER_S and not told:
            told = True
            tell("no model server takes prompts: waiting until one does; Ctrl-C ends the run")
