"""Whether the monitor lives and works, and why not: what `/livez` and `/readyz` say."""

from collections.abc import Callable
from typing import Literal

AWAY_S = 30.0
"""Above a new leader or a broker's restart: those are no reason to take anything out."""

Phase = Literal["starting", "standing by", "reading back", "active", "stopping"]


class Health:
    """Told by the service; asked by the health server."""

    def __init__(self, *, stuck_after_s: float, monotonic: Callable[[], float]) -> None:
        self._stuck_after_s = stuck_after_s
        self._monotonic = monotonic
        self._beat = monotonic()
        self._away_since: float | None = None
        self.phase: Phase = "starting"

    def beat(self) -> None:
        """The service came round: it read, or waited for records as it should."""
        self._beat = self._monotonic()

    def kafka_answers(self, *, answers: bool) -> None:
        """Kafka was asked something: whether it answered."""
        if answers:
            self._away_since = None
        elif self._away_since is None:
            self._away_since = self._monotonic()

    def enter(self, phase: Phase) -> None:
        """Another phase begins."""
        self.phase = phase
        self.beat()

    def not_alive(self) -> list[str]:
        """Why the platform should restart the process; empty while it makes progress."""
        if self.phase != "active":  # the others have deadlines of their own
            return []
        quiet_s = self._monotonic() - self._beat
        if quiet_s > self._stuck_after_s:
            return [f"no look for events since {quiet_s:.0f} s"]
        return []

    def not_ready(self) -> list[str]:
        """Why no windows are made here; a standby isn't ready, and that is no fault."""
        if self.phase != "active":
            return [f"the monitor is {self.phase}"]
        if self._away_since is not None:
            away_s = self._monotonic() - self._away_since
            if away_s >= AWAY_S:
                return [f"Kafka hasn't answered for {away_s:.0f} s"]
        return []
