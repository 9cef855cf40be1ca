"""Which offset may be committed: the contiguous finished prefix, per partition and epoch.

A partition that is lost and given back is a new assignment with a new epoch, and begins with an
empty tracker: what finishes late, for an epoch that is lost, finds no tracker and commits nothing.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from runtime.kafka.protocol import Partition


class OffsetTracker:
    """One assignment of one partition: what was delivered, and what of it is finished.

    Costs one deque entry and, out of order, one set entry per record in flight.
    """

    __slots__ = (
        "_arrivals",
        "_finished",
        "_last",
        "_position",
        "_unfinished",
        "committed",
        "metadata",
        "prefix",
        "settled",
    )

    def __init__(self) -> None:
        self._unfinished: deque[int] = deque()
        self._finished: set[int] = set()
        self._arrivals: deque[tuple[int, float]] = deque()
        self._last = -1
        self._position: int | None = None
        self.committed: int | None = None
        """The offset that the broker holds for this assignment; None before the first commit."""
        self.metadata: str | None = None
        """What is committed beside its offsets: of which topic they are. None until that is known:
        nothing is committed before."""
        self.prefix = 0
        """Records in the finished prefix."""
        self.settled = 0
        """Records of it that are committed."""

    def deliver(self, offsets: Sequence[int], now: float) -> None:
        """These were received at `now` (monotonic seconds); they must go on growing."""
        if not offsets:
            return
        if self._position is None:
            self._position = offsets[0]
        assert offsets[0] > self._last, "offsets of one epoch only grow"
        self._last = offsets[-1]
        self._unfinished.extend(offsets)
        self._arrivals.append((offsets[-1], now))

    def finish(self, offsets: Iterable[int]) -> int:
        """These are acknowledged; give by how many records the finished prefix grew."""
        unfinished, finished = self._unfinished, self._finished
        finished.update(offsets)
        grew = 0
        offset = -1
        while unfinished and unfinished[0] in finished:
            offset = unfinished.popleft()
            finished.remove(offset)
            grew += 1
        if grew:
            self.prefix += grew
            # Not a count: compaction and transaction markers leave gaps.
            self._position = offset + 1
            arrivals = self._arrivals
            while arrivals and arrivals[0][0] <= offset:
                arrivals.popleft()
        return grew

    def skip_to(self, position: int) -> None:
        """Nothing is in flight and the consumer's position is `position`: markers lie between."""
        if not self._unfinished and (self._position is None or position > self._position):
            self._position = position

    def unfinished(self) -> Iterator[int]:
        """Delivered and not finished, the oldest first. Not to be changed meanwhile."""
        return (offset for offset in self._unfinished if offset not in self._finished)

    @property
    def position(self) -> int | None:
        """The offset to commit: after the finished prefix. None before the first record."""
        return self._position

    @property
    def last(self) -> int:
        """The last offset delivered; -1 before the first."""
        return self._last

    @property
    def in_flight(self) -> int:
        """Delivered and not finished."""
        return len(self._unfinished) - len(self._finished)

    @property
    def window(self) -> int:
        """Records from the oldest unfinished one on: what a crash would repeat."""
        return len(self._unfinished)

    @property
    def idle(self) -> bool:
        """Whether everything delivered is finished."""
        return not self._unfinished

    @property
    def oldest(self) -> float | None:
        """When the oldest unfinished record was received; None when there is none."""
        return self._arrivals[0][1] if self._arrivals else None


class Ledger:
    """The trackers of what is assigned now, by epoch."""

    def __init__(self) -> None:
        self._epoch = 0
        self._by_epoch: dict[int, OffsetTracker] = {}
        self._epochs: dict[Partition, int] = {}

    @property
    def newest(self) -> int:
        """The latest epoch that began; 0 before the first."""
        return self._epoch

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Begin an epoch for each: numbers of their own, never used again."""
        for partition in partitions:
            self.lose((partition,))
            self._epoch += 1
            self._epochs[partition] = self._epoch
            self._by_epoch[self._epoch] = OffsetTracker()

    def begin_again(self, partitions: Iterable[Partition]) -> None:
        """Begin another epoch for each, of the topic that it was of before."""
        for partition in partitions:
            epoch = self._epochs.get(partition)
            metadata = None if epoch is None else self._by_epoch[epoch].metadata
            self.assign((partition,))
            self._by_epoch[self._epoch].metadata = metadata

    def lose(self, partitions: Iterable[Partition]) -> int:
        """Forget these; give how many of their records weren't finished."""
        unfinished = 0
        for partition in partitions:
            epoch = self._epochs.pop(partition, None)
            if epoch is not None:
                unfinished += self._by_epoch.pop(epoch).in_flight
        return unfinished

    def epoch(self, partition: Partition) -> int | None:
        """The partition's epoch; None unless it is assigned."""
        return self._epochs.get(partition)

    def tracker(self, epoch: int) -> OffsetTracker | None:
        """The epoch's tracker; None once it is lost."""
        return self._by_epoch.get(epoch)

    def held(self) -> Mapping[Partition, OffsetTracker]:
        """All partitions assigned now, with their trackers."""
        return {partition: self._by_epoch[epoch] for partition, epoch in self._epochs.items()}

    def entries(self) -> Iterator[tuple[Partition, int, OffsetTracker]]:
        """All partitions assigned now, with their epochs and trackers."""
        for partition, epoch in self._epochs.items():
            yield partition, epoch, self._by_epoch[epoch]

    def partitions(self) -> frozenset[Partition]:
        """All partitions assigned now."""
        return frozenset(self._epochs)

    @property
    def oldest(self) -> float | None:
        """When the oldest record in flight was received (monotonic); None without one."""
        return min(
            (t.oldest for t in self._by_epoch.values() if t.oldest is not None), default=None
        )
