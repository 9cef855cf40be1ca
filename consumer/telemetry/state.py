"""How the service is doing, read at any time: what `/livez`, `/readyz` and gauges are made of."""

from typing import Literal, TypeAlias

import msgspec

Phase: TypeAlias = Literal["starting", "waiting", "running", "draining", "stopped"]
"""`waiting`: Kafka is connected and checked, and no model server has answered yet."""
Paused: TypeAlias = Literal["records", "bytes", "unavailable", "over"]
"""Why nothing is fetched: the in-flight bounds, no model server, or a bounded run's end."""
Held: TypeAlias = Literal["records", "window", "bad_batch"]
"""Why one partition isn't fetched: its share of the in-flight records, its window of unfinished
offsets, or a batch that can't be read."""


class PartitionState(msgspec.Struct, frozen=True, kw_only=True):
    """One assigned partition."""

    topic: str
    partition: int
    commit_position: int | None
    """The offset to be committed next; None before the first record of this assignment."""
    high_water: int | None
    """Where the broker's log ends, as far as it is known; None before the first fetch."""
    in_flight: int
    """Records received and not finished."""
    held: Held | None = None
    """Why it isn't fetched while others are; None while it is."""
    bad_batch_at: int | None = None
    """The offset of the batch that can't be read; None where there is none."""

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
    """Those that are read."""
    not_begun: tuple[str, ...] = ()
    """`TOPIC-NUMBER` of those that the group gave this member and that aren't read yet."""
    available: bool
    """Whether the analyzer takes work: a model server's breaker is closed."""
    joined: bool
    """Whether the group has given this member its share, which may be no partition at all."""
    paused: Paused | None
    """Why nothing is fetched; None while something is."""
    in_flight_records: int
    in_flight_bytes: int
    batches: int
    """Under way."""
    oldest_in_flight_s: float
    """Age of the oldest record received and not finished; 0 when there is none."""
    since_loop_s: float
    """Seconds since the fetch loop last came round. Live means it does, in seconds."""
    since_finish_s: float
    """Seconds since the analysis last finished a record, or one was acknowledged or committed."""
    since_available_s: float
    """Seconds since a model server last began to take prompts."""
    consumed: int
    published: int
    dead_letters: int
    committed: int
    """Records settled by commits."""

    @property
    def ready(self) -> bool:
        """Whether posts go through: the group is joined, and a model server available."""
        return self.phase == "running" and self.joined and self.available
