"""What the consumer says of itself in its log while all is well: once a minute, and at news."""

from collections import Counter
from collections.abc import Callable
from typing import NoReturn

import structlog

from consumer.telemetry import log_events
from consumer.telemetry.state import Snapshot
from runtime.clock import Clock, sleep

_log = structlog.get_logger("consumer")

EVERY_S = 60.0
"""Often enough to see a stall in the log, seldom enough to read the log."""


class Progress:
    """Counts dead letters by class between two reports, and warns at the first of each class."""

    def __init__(self) -> None:
        self._since: Counter[str] = Counter()
        self._known: set[str] = set()

    def dead_letter(self, stage: str, class_name: str) -> None:
        """A dead letter is acknowledged."""
        self._since[class_name] += 1
        if class_name not in self._known:
            self._known.add(class_name)
            _log.warning(log_events.FIRST_DEAD_LETTER, stage=stage, **{"class": class_name})

    async def report(self, snapshot: Callable[[], Snapshot], clock: Clock) -> NoReturn:
        """Log how it goes, each minute, until it is cancelled."""
        consumed, at = snapshot().consumed, clock.monotonic()
        while True:
            await sleep(clock, EVERY_S)
            state, now = snapshot(), clock.monotonic()
            lags = [one.lag for one in state.partitions]
            known = [lag for lag in lags if lag is not None]
            _log.info(
                log_events.PROGRESS,
                phase=state.phase,
                posts_per_s=round((state.consumed - consumed) / (now - at), 1),
                lag=sum(known) if known else None,
                partitions=len(lags),
                dead_letters=dict(self._since),
                paused=state.paused,
            )
            self._since.clear()
            consumed, at = state.consumed, now
