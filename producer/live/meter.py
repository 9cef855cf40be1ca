"""Counts what the live sources do: for metrics, for log lines, and for whoever watches."""

from collections import Counter
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import structlog

from producer.live import log_events
from producer.live import metrics as m
from producer.live.items import SKIPPED, Item
from producer.live.source import DISCONNECTED
from runtime.clock import Clock
from runtime.telemetry.metric import Counts
from runtime.telemetry.waiting import Waiting

_log = structlog.get_logger("live")

_TOLD_S = 10.0
"""A pause that nobody would ask after is not told."""

Kind: TypeAlias = Literal["post", "edit", "delete"]


class Meter:
    """One for a run; a `SourceWatcher` of all of its sources."""

    def __init__(self, sources: list[str], clock: Clock) -> None:
        self.counts = Counts(m.ALL)
        self.written: Counter[Kind] = Counter()
        """Records that Kafka acknowledged, by kind."""
        self.skipped: Counter[str] = Counter()
        """Items passed over, by reason."""
        self.disconnects = 0
        self.lag_s: float | None = None
        """How old the newest item was when it came."""
        self.hosts: dict[str, str] = {}
        """Source to the host that it is connected to."""
        self._clock = clock
        self._waiting = {name: Waiting(log_events.UNREACHABLE, clock) for name in sources}
        for source in sources:
            self.counts.put(m.CONNECTED, source, value=0)
            self.counts.add(m.GAPS, source, by=0)
            for kind in ("post", "edit", "delete"):
                self.counts.add(m.WRITTEN, source, kind, by=0)
            for reason in SKIPPED:
                self.counts.add(m.SKIPPED, source, reason, by=0)
            for reason in DISCONNECTED:
                self.counts.add(m.DISCONNECTS, source, reason, by=0)

    def came(self, source: str, item: Item) -> None:
        """An item came."""
        now = self._clock.wall()
        self.counts.put(m.LAST, source, value=now)
        if item.at is not None:
            self.lag_s = max(0.0, now - item.at)
            self.counts.put(m.LAG, source, value=self.lag_s)

    def skip(self, source: str, reason: str) -> None:
        """An item was passed over."""
        self.skipped[reason] += 1
        self.counts.add(m.SKIPPED, source, reason)

    def wrote(self, source: str, kind: Kind) -> None:
        """Kafka acknowledged a record."""
        self.written[kind] += 1
        self.counts.add(m.WRITTEN, source, kind)

    def connected(self, source: str, to: str) -> None:
        """A connection is open."""
        self.hosts[source] = to
        self._waiting[source].over()
        self.counts.put(m.CONNECTED, source, value=1)
        _log.info(log_events.CONNECTED, source=source, host=to)

    def disconnected(self, source: str, reason: str) -> None:
        """It is gone, or could not be made."""
        host = self.hosts.pop(source, None)
        self.disconnects += 1
        self.counts.put(m.CONNECTED, source, value=0)
        self.counts.add(m.DISCONNECTS, source, reason)
        if host is None:
            self._waiting[source].still(source=source, reason=reason)
        else:
            _log.info(log_events.DISCONNECTED, source=source, host=host, reason=reason)

    def left(self, source: str) -> None:
        """Nobody pulls from it any more, and its connection is closed: Kafka is away, or a stop."""
        self.hosts.pop(source, None)
        self.counts.put(m.CONNECTED, source, value=0)

    def waits(self, source: str, seconds: float, reason: str) -> None:
        """It is not asked again for so long: a warning that says until when."""
        if seconds < _TOLD_S:
            return
        until = datetime.fromtimestamp(self._clock.wall() + seconds, UTC)
        _log.warning(
            log_events.WAITS,
            source=source,
            until=until.isoformat(timespec="seconds"),
            seconds=round(seconds),
            reason=reason,
        )

    def gap(self, source: str, seconds: float, why: str) -> None:
        """The source can't give what lies in this stretch of time."""
        self.counts.add(m.GAPS, source, by=seconds)
        _log.warning(log_events.GAP, source=source, seconds=round(seconds), why=why)
