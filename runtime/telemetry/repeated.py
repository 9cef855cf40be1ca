"""Libraries that say the same again and again: a few times a minute, and how often else."""

import logging
import time
from collections.abc import Callable

WINDOW_S = 60.0
SHOWN = 3
"""Of one message within a minute. A client whose broker is away says it some 150 times a second."""
_KINDS = 500


class Repeated(logging.Filter):
    """Lets through the first of each message in a minute; the next minute's first has the count.

    A message is its logger, its level and its text before arguments are put in.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}
        """Since when, and how often."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write it; adds how many were left out before it."""
        now = self._monotonic()
        kind = record.name, record.levelno, str(record.msg)
        since, count = self._seen.get(kind, (now, 0))
        left_out = 0
        if now - since >= WINDOW_S:
            since, count, left_out = now, 0, max(0, count - SHOWN)
        if kind not in self._seen and len(self._seen) >= _KINDS:
            del self._seen[next(iter(self._seen))]
        self._seen[kind] = since, count + 1
        if count >= SHOWN:
            return False
        if left_out:
            record.msg = f"{record.getMessage()} [{left_out} more like it since]"
            record.args = ()
        return True
