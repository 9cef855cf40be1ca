"""What may be committed is the contiguous finished prefix, and only of the epoch that is held."""

import random
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consumer.delivery.offsets import Ledger, OffsetTracker
from runtime.kafka.protocol import Partition

P = Partition("posts", 0)


def test_offsets_commit_only_up_to_the_first_unfinished_one() -> None:
    tracker = OffsetTracker()
    tracker.deliver([0, 1, 2, 3], 1.0)
    tracker.finish([1, 3])
    assert tracker.position == 0
    tracker.finish([0])
    assert tracker.position == 2
    tracker.finish([2])
    assert tracker.position == 4


def test_the_next_offset_is_the_last_delivered_plus_one_not_a_count() -> None:
    tracker = OffsetTracker()
    tracker.deliver([5, 9, 20], 1.0)
    tracker.finish([5, 9, 20])
    assert tracker.position == 21


def test_markers_behind_the_last_record_are_skipped_only_when_nothing_is_in_flight() -> None:
    tracker = OffsetTracker()
    tracker.deliver([0], 1.0)
    tracker.skip_to(7)
    assert tracker.position == 0
    tracker.finish([0])
    tracker.skip_to(7)
    assert tracker.position == 7


def test_the_oldest_in_flight_is_the_oldest_unfinished() -> None:
    tracker = OffsetTracker()
    tracker.deliver([0, 1], 1.0)
    tracker.deliver([2], 5.0)
    tracker.finish([1])
    assert tracker.oldest == 1.0
    tracker.finish([0])
    assert tracker.oldest == 5.0
    tracker.finish([2])
    assert tracker.oldest is None


def test_a_late_finish_of_a_lost_epoch_finds_no_tracker() -> None:
    ledger = Ledger()
    ledger.assign([P])
    first = ledger.epoch(P)
    assert first is not None
    ledger.lose([P])
    ledger.assign([P])
    assert ledger.epoch(P) != first
    assert ledger.tracker(first) is None


@settings(deadline=None)  # a busy machine is no failure
@given(
    gaps=st.lists(st.integers(1, 5), min_size=1, max_size=60),
    seed=st.integers(0, 2**16),
    chunk=st.integers(1, 9),
)
def test_any_order_of_finishing_ends_after_the_last_delivered(
    gaps: list[int], seed: int, chunk: int
) -> None:
    offsets = list(accumulate(gaps))
    tracker = OffsetTracker()
    for start in range(0, len(offsets), chunk):
        tracker.deliver(offsets[start : start + chunk], float(start))
    order = random.Random(seed).sample(offsets, len(offsets))
    grown = 0
    for done, offset in enumerate(order, 1):
        grown += tracker.finish([offset])
        unfinished = set(order[done:])
        assert tracker.position is not None
        assert all(left >= tracker.position for left in unfinished)
    assert tracker.position == offsets[-1] + 1
    assert grown == tracker.prefix == len(offsets)
    assert tracker.idle
    assert tracker.in_flight == 0


class LedgerModel(RuleBasedStateMachine):
    """One partition through assignments, deliveries, finishes in any order, and losses."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.log_end = 0
        self.open: dict[int, set[int]] = {}
        """Unfinished offsets by epoch, lost epochs included."""
        self.delivered: dict[int, list[int]] = {}
        self.committed = 0

    @initialize()
    def begin(self) -> None:
        self._assign()

    def _assign(self) -> None:
        self.ledger.assign([P])
        epoch = self.ledger.epoch(P)
        assert epoch is not None
        assert epoch not in self.open
        self.open[epoch], self.delivered[epoch] = set(), []
        self.next = self.committed

    @precondition(lambda self: self.ledger.epoch(P) is not None)
    @rule(gaps=st.lists(st.integers(0, 3), min_size=1, max_size=5))
    def deliver(self, gaps: list[int]) -> None:
        epoch = self.ledger.epoch(P)
        assert epoch is not None
        offsets = []
        for gap in gaps:
            self.next += gap
            offsets.append(self.next)
            self.next += 1
        tracker = self.ledger.tracker(epoch)
        assert tracker is not None
        tracker.deliver(offsets, 0.0)
        self.open[epoch] |= set(offsets)
        self.delivered[epoch] += offsets

    @precondition(lambda self: any(self.open.values()))
    @rule(data=st.data())
    def finish_any(self, data: st.DataObject) -> None:
        pairs = sorted((epoch, one) for epoch, left in self.open.items() for one in left)
        epoch, offset = data.draw(st.sampled_from(pairs))
        self.open[epoch].remove(offset)
        tracker = self.ledger.tracker(epoch)
        assert (tracker is None) == (epoch != self.ledger.epoch(P))
        if tracker is not None:
            tracker.finish([offset])

    @precondition(lambda self: self.ledger.epoch(P) is not None)
    @rule()
    def commit(self) -> None:
        epoch = self.ledger.epoch(P)
        assert epoch is not None
        tracker = self.ledger.tracker(epoch)
        assert tracker is not None
        if tracker.position is not None:
            assert tracker.position >= self.committed
            self.committed = tracker.committed = tracker.position

    @precondition(lambda self: self.ledger.epoch(P) is not None)
    @rule(again=st.booleans())
    def lose(self, again: bool) -> None:
        epoch = self.ledger.epoch(P)
        assert epoch is not None
        assert self.ledger.lose([P]) == len(self.open[epoch])
        if again:
            self._assign()

    @precondition(lambda self: self.ledger.epoch(P) is None)
    @rule()
    def get_back(self) -> None:
        self._assign()

    @invariant()
    def no_position_passes_an_unfinished_record(self) -> None:
        epoch = self.ledger.epoch(P)
        tracker = None if epoch is None else self.ledger.tracker(epoch)
        if epoch is None or tracker is None:
            return
        assert tracker.in_flight == len(self.open[epoch])
        if tracker.position is None:
            assert not self.delivered[epoch]
            return
        assert all(offset >= tracker.position for offset in self.open[epoch])
        if not self.open[epoch]:
            assert tracker.position == self.delivered[epoch][-1] + 1


TestLedger = LedgerModel.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
