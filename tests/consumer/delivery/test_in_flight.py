"""Memory is bounded by records and by bytes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.delivery.in_flight import InFlight
from consumer.options import InFlightLimits


def test_it_is_full_by_whichever_bound_is_reached_first() -> None:
    bound = InFlight(InFlightLimits(max_records=10, max_bytes=100, resume_at=0.5))
    seen = []
    for records, nbytes in ((9, 99), (1, 0), (-5, 0), (1, 1)):
        bound.add(records, nbytes)
        seen.append(bound.full)
    assert seen == [None, "records", None, "bytes"]


def test_it_is_low_only_when_both_are() -> None:
    bound = InFlight(InFlightLimits(max_records=10, max_bytes=100, resume_at=0.5))
    bound.add(6, 100)
    bound.release(1, 0)
    assert not bound.low
    bound.release(0, 50)
    assert bound.low


@settings(deadline=None)  # a busy machine is no failure
@given(
    looks=st.lists(st.tuples(st.integers(1, 500), st.integers(1, 50_000)), max_size=40),
)
def test_what_is_asked_for_never_passes_the_bound_on_records(
    looks: list[tuple[int, int]],
) -> None:
    limits = InFlightLimits(max_records=1_000, max_bytes=1_000_000)
    bound = InFlight(limits)
    for come, size in looks:
        if bound.full:
            bound.release(bound.records // 2, bound.nbytes // 2)
            continue
        room = bound.room(500)
        assert 1 <= room <= 500
        bound.add(min(come, room), min(come, room) * size)
        assert bound.records <= limits.max_records


def test_large_records_are_asked_for_in_small_numbers() -> None:
    bound = InFlight(InFlightLimits(max_records=4_096, max_bytes=32_000_000))
    for _ in range(8):
        bound.add(10, 10_000_000)
        bound.release(10, 10_000_000)
    assert bound.room(1_000) < 60
