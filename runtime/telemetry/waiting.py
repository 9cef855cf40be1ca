"""Says that something is waited for: at once, then seldom, with the time since when."""

from datetime import UTC, datetime
from typing import Any

import structlog

from runtime.clock import Clock

_log = structlog.get_logger(__name__)

EVERY_S = 60.0
"""Often enough to see in the log's last page what is waited for, seldom enough to read the rest."""


class Waiting:
    """One thing that is waited for, again and again."""

    def __init__(self, event: str, clock: Clock, *, every_s: float = EVERY_S) -> None:
        """`event` is the log event of it; it is logged at most each `every_s` seconds."""
        self._event = event
        self._clock = clock
        self._every_s = every_s
        self._since: str | None = None
        self._next = 0.0

    def still(self, **facts: Any) -> None:
        """It is still waited for: a warning, if the last one is long enough ago."""
        now = self._clock.monotonic()
        if self._since is None:
            moment = datetime.fromtimestamp(self._clock.wall(), UTC)
            self._since = moment.isoformat(timespec="seconds")
        if now >= self._next:
            self._next = now + self._every_s
            _log.warning(self._event, since=self._since, **facts)

    @property
    def going_on(self) -> bool:
        """Whether it is waited for."""
        return self._since is not None

    def over(self) -> bool:
        """It came; say whether it was waited for.

        When it goes again, the next line comes no sooner than a while after the last.
        """
        was, self._since = self._since, None
        return was is not None
