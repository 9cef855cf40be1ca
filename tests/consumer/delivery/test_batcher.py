"""Batches close by size, bytes and wait, and lose nothing between them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.delivery.batcher import Batcher
from consumer.options import BatchLimits
from consumer.records import Record
from tests.consumer.records import make_record


def records(count: int, *, size: int = 10, epoch: int = 1, first: int = 0) -> list[Record]:
    return [make_record(b"x" * size, first + index, epoch=epoch) for index in range(count)]


def add(batcher: Batcher, some: list[Record], now: float = 0.0) -> None:
    batcher.add(some, [record.nbytes for record in some], now)


def test_a_full_batch_closes_by_size_before_its_wait() -> None:
    batcher = Batcher(BatchLimits(max_posts=4, max_wait_s=1))
    add(batcher, records(9))
    first, second = batcher.take(0.0), batcher.take(0.0)
    assert first is not None
    assert second is not None
    assert [len(first.records), len(second.records)] == [4, 4]
    assert first.closed_by == second.closed_by == "size"
    assert batcher.take(0.0) is None
    assert len(batcher) == 1


def test_a_batch_closes_by_bytes_and_one_larger_record_is_a_batch_of_its_own() -> None:
    batcher = Batcher(BatchLimits(max_posts=100, max_bytes=100, max_wait_s=1))
    add(batcher, [*records(1, size=60), *records(1, size=60), *records(1, size=500)])
    taken = [batcher.take(0.0) for _ in range(4)]
    assert [None if one is None else one.nbytes for one in taken] == [60, 60, 500, None]
    assert {one.closed_by for one in taken if one is not None} == {"bytes"}


def test_a_batch_that_is_not_full_closes_by_the_wait_of_its_first_record() -> None:
    batcher = Batcher(BatchLimits(max_posts=10, max_wait_s=0.5))
    add(batcher, records(1), now=10.0)
    add(batcher, records(1, first=1), now=10.4)
    assert batcher.due() == 10.5
    assert batcher.take(10.49) is None
    batch = batcher.take(10.5)
    assert batch is not None
    assert (batch.closed_by, len(batch.records)) == ("wait", 2)


def test_the_last_batch_does_not_wait() -> None:
    batcher = Batcher(BatchLimits(max_posts=10, max_wait_s=5))
    add(batcher, records(3))
    batch = batcher.take(0.0, last=True)
    assert batch is not None
    assert batch.closed_by == "drain"


def test_dropping_an_epoch_keeps_the_others_in_order() -> None:
    batcher = Batcher(BatchLimits(max_posts=100, max_wait_s=0))
    add(batcher, [*records(2, epoch=1), *records(2, epoch=2), *records(1, epoch=1, first=9)])
    assert [record.offset for record in batcher.drop({1})] == [0, 1, 9]
    batch = batcher.take(0.0)
    assert batch is not None
    assert [record.epoch for record in batch.records] == [2, 2]
    assert batcher.nbytes == 0


def test_partitions_take_turns_in_a_batch_and_each_keeps_its_order() -> None:
    batcher = Batcher(BatchLimits(max_posts=6, max_wait_s=0))
    add(batcher, [*records(1_000, epoch=1), *records(2, epoch=2), *records(1, epoch=3)])
    batch = batcher.take(0.0)
    assert batch is not None
    assert [(record.epoch, record.offset) for record in batch.records] == [
        (1, 0),
        (2, 0),
        (3, 0),
        (1, 1),
        (2, 1),
        (1, 2),
    ]
    assert len(batcher) == 997


def test_the_wait_counts_from_the_oldest_record_of_any_partition() -> None:
    batcher = Batcher(BatchLimits(max_posts=2, max_wait_s=0.5))
    add(batcher, records(1, epoch=1), now=1.0)
    add(batcher, records(1, epoch=2), now=2.0)
    assert batcher.take(1.6) is not None
    add(batcher, records(1, epoch=2, first=5), now=3.0)
    assert batcher.due() == 3.5


@settings(deadline=None)  # a busy machine is no failure
@given(
    sizes=st.lists(st.integers(0, 120), max_size=60),
    max_records=st.integers(1, 10),
    max_bytes=st.integers(1, 200),
)
def test_every_record_comes_out_once_in_order_and_within_the_bounds(
    sizes: list[int], max_records: int, max_bytes: int
) -> None:
    batcher = Batcher(BatchLimits(max_posts=max_records, max_bytes=max_bytes, max_wait_s=1))
    for offset, size in enumerate(sizes):
        add(batcher, records(1, size=size, first=offset))
    out: list[int] = []
    while (batch := batcher.take(0.0, last=True)) is not None:
        assert 1 <= len(batch.records) <= max_records
        assert batch.nbytes == sum(record.nbytes for record in batch.records)
        assert batch.nbytes <= max_bytes or len(batch.records) == 1
        out += [record.offset for record in batch.records]
    assert out == list(range(len(sizes)))
    assert (len(batcher), batcher.nbytes) == (0, 0)


def test_a_partition_with_a_few_records_overtakes_what_is_under_way_of_a_backlog() -> None:
    batcher = Batcher(BatchLimits(max_posts=4, max_wait_s=0))
    add(batcher, records(40, epoch=1))
    turns = [one.turn for one in (batcher.take(0.0) for _ in range(4)) if one is not None]
    assert turns == [1, 5, 9, 13]
    batcher.served(1)
    add(batcher, records(2, epoch=2))
    first, second = batcher.take(0.0), batcher.take(0.0)
    assert first is not None
    assert second is not None
    # In a batch of its own: what came with it would overtake its own partition.
    assert [(record.epoch, record.offset) for record in first.records] == [(2, 0), (2, 1)]
    assert (first.turn, first.closed_by) == (2, "turn")
    assert (second.turn, len(second.records), second.closed_by) == (17, 4, "size")


def test_a_partition_that_always_has_records_keeps_no_backlog_waiting() -> None:
    """What overtakes is served no more often than what it overtook."""
    batcher = Batcher(BatchLimits(max_posts=1, max_wait_s=0))
    add(batcher, records(20, epoch=1))
    under_way = [one for one in (batcher.take(0.0) for _ in range(10)) if one is not None]
    served: list[int] = []
    for offset in range(10):
        add(batcher, records(1, epoch=2, first=offset))
        batch = batcher.take(0.0)
        assert batch is not None
        under_way.append(batch)
        under_way.sort(key=lambda one: one.turn)
        batch = under_way.pop(0)
        batcher.served(batch.turn)
        served.append(batch.records[0].epoch)
    assert served.count(1) == served.count(2) == 5
