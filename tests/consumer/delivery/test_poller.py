"""What one partition can't do stops no other; what is held back and what was lost is reported."""

from datetime import datetime

import pytest
from structlog.testing import capture_logs

from consumer.delivery.poller import BAD_BATCH_RETRY_S
from consumer.options import BatchLimits, CommitPolicy, InFlightLimits, WatchdogLimits
from consumer.telemetry.health import Health
from runtime.kafka.errors import Unreachable
from runtime.kafka.protocol import Partition
from tests.consumer.delivery.rig import GROUP, POSTS, Rig, limits, numbered, options, running

BAD = Partition("posts", 1)


async def test_a_batch_that_can_not_be_read_stops_its_partition_alone() -> None:
    rig = Rig(partitions=3)
    for number in range(3):
        rig.kafka.produce("posts", numbered(20, f"p{number}"), number)
    rig.kafka.logs[BAD].bad_at = 7
    with capture_logs() as logs:
        async with running(rig):
            await rig.turn(5)
            assert len(rig.events()) == 20 + 7 + 20
            assert rig.kafka.groups[GROUP].committed == {
                Partition("posts", 0): 20,
                BAD: 7,
                Partition("posts", 2): 20,
            }
            state = {one.partition: one for one in rig.service.snapshot().partitions}
            assert (state[1].held, state[1].bad_batch_at, state[1].lag) == ("bad_batch", 7, 13)
            assert (state[0].held, state[0].bad_batch_at) == (None, None)
            health = Health(stuck_after_s=100)
            health.snapshot = rig.service.snapshot
            assert health.not_ready() == []
            assert "posts-1 stopped at offset 7" in health.warnings()[0]
            rig.kafka.produce("posts", numbered(5, "later"), 0)
            await rig.turn(2)
            assert len(rig.events()) == 52
    (stopped,) = [entry for entry in logs if entry["event"] == "partition_stopped"]
    assert (stopped["partition"], stopped["offset"]) == ("posts-1", 7)
    assert rig.seen.bad_batches == 1


async def test_a_bad_batch_is_tried_again_now_and_then_and_goes_on_once_it_can_be_read() -> None:
    rig = Rig(partitions=2)
    rig.kafka.produce("posts", numbered(9), 1)
    rig.kafka.logs[BAD].bad_at = 3
    async with running(rig):
        await rig.turn(2.5 * BAD_BATCH_RETRY_S)
        assert rig.seen.bad_batches == 3
        rig.kafka.logs[BAD].bad_at = None
        await rig.turn(BAD_BATCH_RETRY_S + 2)
        assert rig.events() == numbered(9)
        assert rig.kafka.groups[GROUP].committed[BAD] == 9
        assert rig.service.snapshot().partitions[1].bad_batch_at is None


async def test_a_batch_that_is_being_fetched_again_is_not_told_as_bad_before_it_is_there() -> None:
    rig = Rig(partitions=2)
    rig.kafka.produce("posts", numbered(9), 1)
    rig.kafka.logs[BAD].bad_at = 3
    rig.kafka.bad_fetch_takes_s = 2.0
    async with running(rig):
        await rig.turn(BAD_BATCH_RETRY_S - 1)
        rig.kafka.logs[BAD].bad_at = None
        await rig.turn(5)
        assert rig.events() == numbered(9)
        assert rig.seen.bad_batches == 1


async def test_a_partition_at_a_bad_batch_is_no_reason_to_replace_the_consumer() -> None:
    rig = Rig(partitions=2, service_limits=limits(watchdog=WatchdogLimits(stall_s=20)))
    rig.kafka.produce("posts", numbered(9), 1)
    rig.kafka.logs[BAD].bad_at = 3
    async with running(rig):
        await rig.turn(300)
        assert rig.seen.restarts == 0


async def test_the_window_of_offsets_past_an_unfinished_one_is_bounded() -> None:
    """Of one partition: it is held, and the others go on. A crash would repeat these."""
    rig = Rig(
        partitions=2,
        service_limits=limits(in_flight=InFlightLimits(max_window=50, resume_at=0.5)),
    )
    rig.processor.slow_down(b"slow")
    rig.kafka.produce("posts", [b"slow", *numbered(500)], 0)
    async with running(rig):
        await rig.turn(3)
        assert len(rig.events()) == 49
        rig.kafka.produce("posts", numbered(100, "other"), 1)
        await rig.turn(3)
        assert len(rig.events()) == 149
        assert rig.service.snapshot().partitions[0].held == "window"
        assert set(rig.seen.pauses) == {"window"}
        rig.processor.release()
        await rig.turn(5)
        assert len(rig.events()) == 601
        assert rig.service.snapshot().partitions[0].held is None


async def test_a_partition_with_a_few_posts_is_not_kept_waiting_by_one_with_a_backlog() -> None:
    rig = Rig(
        partitions=2,
        service_limits=limits(
            batch=BatchLimits(max_posts=4, max_wait_s=0.01, max_concurrent_posts=4),
            in_flight=InFlightLimits(max_posts=90),
        ),
    )
    rig.processor.hold(*(value for value in numbered(400, "busy") if value is not None))
    rig.kafka.produce("posts", numbered(400, "busy"), 0)
    async with running(rig):
        await rig.turn(2)
        state = rig.service.snapshot()
        assert state.partitions[0].held == "records"
        assert 75 <= state.in_flight_records < 90
        rig.kafka.produce("posts", numbered(3, "few"), 1)
        await rig.turn(0.5)
        rig.processor.release()
        await rig.turn(0.1)
        order = [value for call in rig.processor.calls for value in call]
        few = [order.index(value) for value in numbered(3, "few") if value is not None]
        assert few[0] < 12
        assert few[2] < 20


async def test_the_lag_of_a_paused_consumer_is_asked_of_the_brokers() -> None:
    rig = Rig()
    rig.kafka.produce("posts", numbered(5))
    async with running(rig):
        await rig.turn(2)
        consumer = rig.kafka.consumers[0]
        before = consumer.high_water(POSTS)
        consumer.high_water = lambda _partition: before  # type: ignore[method-assign, assignment]
        rig.processor.available = False
        rig.kafka.produce("posts", numbered(2_000, "more"))
        await rig.turn(10)
        (partition,) = rig.service.snapshot().partitions
        assert partition.lag == 2_000


async def test_records_that_retention_took_before_they_were_read_are_counted_and_logged() -> None:
    rig = Rig()
    rig.kafka.produce("posts", numbered(100))
    rig.kafka.groups[GROUP].committed[POSTS] = 10
    rig.kafka.logs[POSTS].retain(40)
    with capture_logs() as logs:
        async with running(rig):
            await rig.turn(2)
            assert rig.seen.lost == 30
            assert len(rig.events()) == 60
            rig.processor.available = False
            await rig.turn(1)
            rig.kafka.produce("posts", numbered(50, "later"))
            rig.kafka.logs[POSTS].retain(120)
            rig.processor.available = True
            await rig.turn(2)
            assert rig.seen.lost == 30 + 20
            assert rig.committed == 150
    lost = [entry for entry in logs if entry["event"] == "records_taken_away"]
    assert [(entry["partition"], entry["records"]) for entry in lost] == [
        ("posts-0", 30),
        ("posts-0", 20),
    ]


async def test_a_log_that_begins_again_at_the_last_offset_is_a_new_one() -> None:
    rig = Rig()
    rig.kafka.produce("posts", [b"old"])
    async with running(rig):
        await rig.turn(2)
        log = rig.kafka.logs[POSTS]
        log.records.clear()
        log.end = 0
        rig.kafka.consumers[0]._positions[POSTS] = 0
        rig.kafka.produce("posts", [b"new"])
        await rig.turn(2)
        assert rig.events() == [b"new", b"old"]
        assert rig.kafka.commits[-1] == {POSTS: 1}


async def test_a_fetch_that_fails_is_followed_by_a_pause() -> None:
    rig = Rig()
    rig.kafka.fetch_faults = [Unreachable("timed out")] * 1_000
    async with running(rig):
        before = rig.kafka.consumers[0].polls
        await rig.turn(10)
        assert rig.kafka.consumers[0].polls - before <= 21


async def test_fetches_that_fail_for_long_are_told_once_a_minute() -> None:
    rig = Rig()
    rig.kafka.fetch_faults = [Unreachable("timed out")] * 1_000
    with capture_logs() as logs:
        async with running(rig):
            await rig.turn(150)
    failed = [entry for entry in logs if entry["event"] == "fetch_failed"]
    assert [(one["error"], one["since"]) for one in failed] == [
        ("timed out", failed[0]["since"])
    ] * 3


async def test_a_dead_letters_first_seen_is_wall_clock_time() -> None:
    rig = Rig()
    rig.kafka.produce("posts", [b"poison"])
    async with running(rig):
        received = rig.clock.wall()
        await rig.turn(1)
        (record,) = rig.kafka.logs[Partition("affect.dlq", 0)].records
        (first_seen,) = [
            value for name, value in record.headers if name.endswith("first.seen") and value
        ]
        assert abs(_timestamp(first_seen) - received) < 2


def _timestamp(value: bytes) -> float:
    return datetime.fromisoformat(value.decode()).timestamp()


@pytest.mark.parametrize("reset", ["earliest", "latest"])
async def test_a_topic_that_is_created_again_is_read_from_its_start(reset: str) -> None:
    """Longer than the old one by the time it is noticed: no offset tells it from the old."""
    rig = Rig(
        kafka_options=options(auto_offset_reset=reset),
        service_limits=limits(commit=CommitPolicy(interval_s=0.5)),
    )
    async with running(rig):
        rig.kafka.produce("posts", numbered(5, "old"))
        await rig.turn(2)
        assert len(rig.events()) == 5
        rig.kafka.create_again("posts")
        rig.kafka.produce("posts", numbered(8, "new"))
        await rig.turn(60)
        new = {value for value in rig.events() if (value or b"").startswith(b"new")}
        assert new == set(numbered(8, "new"))
        assert rig.committed == 8


async def test_a_log_that_ends_before_what_was_committed_or_read_is_told() -> None:
    """Brokers lose an end: by an unclean election, or with a disk."""
    rig = Rig()
    rig.kafka.produce("posts", numbered(20))
    rig.kafka.groups[GROUP].committed[POSTS] = 50
    with capture_logs() as logs:
        async with running(rig):
            await rig.turn(2)
    (told,) = [entry for entry in logs if entry["event"] == "log_went_back"]
    assert (told["partition"], told["from_offset"], told["to_offset"]) == ("posts-0", 50, 20)
    assert "unclean" in told["advice"]
