"""Memory is bounded by records and by bytes, and no partition takes all of it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.delivery.in_flight import InFlight
from consumer.options import InFlightLimits
from consumer.records import Record
from tests.consumer.records import make_record


def records(count: int, nbytes: int = 0, *, epoch: int = 1) -> list[Record]:
    return [make_record(b"x" * nbytes, offset, epoch=epoch) for offset in range(count)]


def test_it_is_full_by_whichever_bound_is_reached_first() -> None:
    bound = InFlight(InFlightLimits(max_posts=10, max_bytes=100, resume_at=0.5))
    seen = []
    for epoch, count, nbytes in ((1, 9, 90), (2, 1, 0)):
        bound.add(epoch, count, nbytes)
        seen.append(bound.full)
    bound.release(records(4, 10))
    seen.append(bound.full)
    bound.add(1, 1, 50)
    seen.append(bound.full)
    assert seen == [None, "records", None, "bytes"]


def test_it_is_low_only_when_both_are() -> None:
    bound = InFlight(InFlightLimits(max_posts=10, max_bytes=100, resume_at=0.5))
    bound.add(1, 6, 100)
    bound.release(records(1, 10))
    assert not bound.low
    bound.release(records(1, 50))
    assert bound.low


@settings(deadline=None)  # a busy machine is no failure
@given(
    looks=st.lists(st.tuples(st.integers(1, 500), st.integers(1, 5_000)), max_size=40),
)
def test_what_is_asked_for_never_passes_the_bound_on_records(
    looks: list[tuple[int, int]],
) -> None:
    limits = InFlightLimits(max_posts=1_000, max_bytes=1_000_000)
    bound = InFlight(limits)
    held: list[Record] = []
    for come, size in looks:
        if bound.full:
            bound.release(held)
            held = []
            assert (bound.records, bound.nbytes) == (0, 0)
            continue
        room = bound.room(500)
        assert 1 <= room <= 500
        new = records(min(come, room), size)
        bound.add(1, len(new), sum(one.nbytes for one in new))
        held += new
        assert bound.records <= limits.max_posts


def test_large_records_are_asked_for_in_small_numbers() -> None:
    bound = InFlight(InFlightLimits(max_posts=4_096, max_bytes=32_000_000))
    for _ in range(8):
        bound.add(1, 10, 10_000_000)
        bound.release(records(10, 1_000_000))
    assert bound.room(1_000) < 60


def test_a_backlog_of_one_partition_leaves_room_for_the_others() -> None:
    bound = InFlight(InFlightLimits(max_posts=4_096))
    while (room := bound.room_of(1)) > 0:
        bound.add(1, room, 0)
    assert 3_600 < bound.records < 3_700
    assert bound.room_of(2) > 400


def test_backlogs_of_many_partitions_leave_room_for_one_more() -> None:
    bound = InFlight(InFlightLimits(max_posts=4_096))
    for _ in range(500):
        for epoch in range(10):
            if (room := bound.room_of(epoch)) > 0:
                bound.add(epoch, min(room, 50), 0)
    assert bound.full is None
    assert bound.room_of(99) >= 20


def test_a_partition_that_had_its_share_goes_on_below_the_low_water_mark() -> None:
    bound = InFlight(InFlightLimits(max_posts=900))
    bound.add(1, 800, 0)
    assert bound.room_of(1) == 0
    assert not bound.low_of(1)
    bound.release(records(80))
    assert bound.low_of(1)
