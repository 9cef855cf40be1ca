"""What events lack that judging them leans on: authors, and texts."""

import structlog

from monitor.events import Reading
from monitor.telemetry import log_events

_log = structlog.get_logger("monitor")

ENOUGH = 50
"""Events in a row without any: sources that never name authors beside others that do."""


class Lacking:
    """Says once, of the first events after a start, what none of them has."""

    def __init__(self, *, texts: bool) -> None:
        """`texts`: whether the configuration says that events carry texts."""
        self._left = ENOUGH
        self._no_author = True
        self._no_text = texts

    def see(self, event: Reading) -> None:
        """Look at an event."""
        if self._left == 0:
            return
        self._left -= 1
        self._no_author = self._no_author and event.author is None
        self._no_text = self._no_text and event.text is None
        if self._left:
            return
        if self._no_author:
            _log.warning(log_events.NO_AUTHORS, events=ENOUGH, setting="output.author_key")
        if self._no_text:
            _log.warning(log_events.TEXTS_MISSING, events=ENOUGH, setting="output.include_text")
