"""How the service is doing, read at any time: what `/livez`, `/readyz` and gauges are made of."""

from typing import Literal, TypeAlias

import msgspec

Phase: TypeAlias = Literal["starting", "running", "draining", "stopped"]


class PartitionState(msgspec.Struct, frozen=True, kw_only=True):
    """One assigned partition."""

    topic: str
    partition: int
    commit_position: int | None
    """The offset to be committed next; None before the first record of this assignment."""
    high_water: int | None
    """Where the broker's log ended at the last fetch; None before it."""
    in_flight: int
    """Records taken up and not finished."""

    @property
    def lag(self) -> int | None:
        """Records between what is settled and the log's end; None while either is unknown."""
        if self.commit_position is None or self.high_water is None:
            return None
        return max(0, self.high_water - self.commit_position)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The service at one moment. Made on request; costs nothing in between."""

    phase: Phase
    partitions: tuple[PartitionState, ...]
    available: bool
    """Whether the analyzer takes work: a model server's breaker is closed."""
    paused: str | None
    """Why fetching is paused: `records`, `bytes` or `unavailable`; None while it isn't."""
    in_flight_records: int
    in_flight_bytes: int
    batches: int
    """Under way."""
    oldest_in_flight_s: float
    """Age of the oldest record taken up and not finished; 0 when there is none."""
    since_loop_s: float
    """Seconds since the fetch loop last came round. Live means it does, in seconds."""
    since_progress_s: float
    """Seconds since anything was delivered, finished or committed."""
    consumed: int
    published: int
    dead_letters: int
    committed: int
    """Records settled by commits."""

    @property
    def ready(self) -> bool:
        """Whether posts go through: running, partitions assigned, a model server available."""
        return self.phase == "running" and bool(self.partitions) and self.available
