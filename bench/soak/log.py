"""What a soak writes down as it goes: one JSON object a line, read back to judge and to draw it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import msgspec


class Setup(msgspec.Struct, frozen=True, kw_only=True, tag="setup"):
    """What was run."""

    began: str
    """Date and time, UTC."""
    minutes: float
    rebalance_every_s: float
    posts_per_s: float
    prompts_per_post: int
    capacity: float
    """Prompts a second that the model server takes at most."""
    latency_s: float
    """Seconds that it takes for each."""
    backlog: int
    """Posts that waited when it began."""
    cache_entries: int
    partitions: int
    cpus: int
    """Cores that this run may use."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, tag="sample"):
    """The measured process at one moment."""

    at_s: float
    """Since the first post."""
    rss_mb: float
    """Resident memory, MB (10⁶ bytes)."""
    fds: int
    """Open file descriptors: files, sockets, pipes."""
    threads: int
    tasks: int
    """asyncio tasks alive, as it says itself (`emostream_asyncio_tasks`)."""
    cpu_s: float
    """Of its CPU time so far."""
    consumed: int
    """Posts that it has fetched so far."""
    in_flight: int
    lag: int
    """Posts of its partitions that aren't settled."""
    partitions: int
    """Assigned to it: all of them, or half while the second member is there."""


class Change(msgspec.Struct, frozen=True, kw_only=True, tag="change"):
    """The second member starts, or gets SIGTERM."""

    at_s: float
    joins: bool


class Rebalance(msgspec.Struct, frozen=True, kw_only=True, tag="rebalance"):
    """The group gave the measured process its partitions again, by its log."""

    at_s: float
    began_s: float
    """When the change that led to it was made; `at_s` where there was none."""
    partitions: int
    drained_s: float
    """Seconds it drained before it let its old ones go."""
    paused_s: float
    """Seconds in which posts of some partition weren't fetched: from the drain's start, or from
    the other member's SIGTERM, until the measured process had its new partitions."""
    abandoned: int
    """Posts that it let go unfinished."""
    planned: bool


class Window(msgspec.Struct, frozen=True, kw_only=True, tag="window"):
    """Latency of the posts that were written in a stretch of time."""

    at_s: float
    """Its beginning."""
    seconds: float
    posts: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


class Counts(msgspec.Struct, frozen=True, kw_only=True, tag="counts"):
    """The whole run, by sets over the topics."""

    posts: int
    """Distinct records on the input topic."""
    events: int
    """Distinct posts that have an event."""
    dead_letters: int
    lost: int
    """Posts with neither."""
    redelivered: int
    """Events beyond one for each post."""
    other_ids: int
    """Of these, those whose id isn't the first one's."""
    uncommitted: int
    """Posts behind the group's commits after both members stopped."""
    not_written: int
    """Posts that the producer couldn't write."""
    assignor: str
    """Of the group, as the broker says while both members are there."""
    exits: tuple[int, ...]
    """Of the measured process first, then of each second member."""
    tracebacks: int
    """In their logs."""


Line: TypeAlias = Setup | Sample | Change | Rebalance | Window | Counts


class Record:
    """All lines of one run."""

    def __init__(self, lines: Iterable[Line]) -> None:
        lines = list(lines)
        (self.setup,) = (line for line in lines if isinstance(line, Setup))
        self.samples = [line for line in lines if isinstance(line, Sample)]
        self.changes = [line for line in lines if isinstance(line, Change)]
        self.rebalances = [line for line in lines if isinstance(line, Rebalance)]
        self.windows = [line for line in lines if isinstance(line, Window)]
        (self.counts,) = (line for line in lines if isinstance(line, Counts))

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read a finished run's file. Raises ValueError for one that didn't come to its end."""
        decode = msgspec.json.Decoder[Line](Line).decode
        return cls(map(decode, path.read_bytes().splitlines()))


class Writer:
    """Appends lines to a new file, each at once, and keeps them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=0)
        self.lines: list[Line] = []

    def write(self, *lines: Line) -> None:
        """Write these."""
        for line in lines:
            self.lines.append(line)
            self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
