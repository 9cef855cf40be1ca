"""The way of one post through the service, while all goes well and when fetching must wait."""

import pytest

from consumer.options import (
    BatchLimits,
    CommitPolicy,
    DrainBudget,
    InFlightLimits,
    Until,
)
from consumer.telemetry.health import Health
from runtime.errors import Misconfigured
from runtime.kafka.protocol import Partition
from tests.consumer.delivery.rig import (
    GROUP,
    POSTS,
    FakeProcessor,
    Rig,
    limits,
    numbered,
    options,
    running,
)
from tests.runtime.kafka.fake_kafka import FakeKafka


async def test_every_post_becomes_one_event_and_is_committed() -> None:
    rig = Rig()
    rig.kafka.produce("posts", numbered(10))
    async with running(rig):
        await rig.turn(1.5)
        assert rig.events() == numbered(10)
        assert rig.committed == 10
    assert rig.task is not None
    assert rig.task.result() == 0


async def test_gaps_in_the_log_are_committed_over() -> None:
    rig = Rig()
    log = rig.kafka.logs[POSTS]
    log.append(None, b"a")
    log.skip(5)
    log.append(None, b"b")
    log.skip(2)
    async with running(rig):
        await rig.turn(1.5)
        assert rig.committed == 9
        assert rig.service.snapshot().partitions[0].lag == 0


async def test_batches_fill_while_every_place_is_taken() -> None:
    rig = Rig(
        service_limits=limits(
            batch=BatchLimits(max_posts=5, max_wait_s=0.01, max_concurrent_posts=1)
        )
    )
    rig.processor.hold(b"post-0000")
    rig.kafka.produce("posts", [b"post-0000"])
    async with running(rig):
        for value in numbered(12)[1:]:
            rig.kafka.produce("posts", [value])
            await rig.turn(0.02)
        assert rig.seen.closed == [("wait", 1)]
        rig.processor.release()
        await rig.turn(0.1)
        assert rig.seen.closed == [("wait", 1), ("size", 5), ("size", 5), ("wait", 1)]


async def test_several_batches_are_under_way_at_once() -> None:
    rig = Rig(service_limits=limits(batch=BatchLimits(max_posts=2, max_concurrent_posts=5)))
    values = [value for value in numbered(10) if value is not None]
    rig.processor.hold(*values)
    rig.kafka.produce("posts", values)
    async with running(rig):
        assert rig.service.snapshot().batches == 3
        assert rig.service.snapshot().in_flight_records == 10


async def test_of_a_backlog_no_more_is_under_way_than_the_servers_can_use() -> None:
    """Batches take turns at the servers: all of them at once would all be late."""
    rig = Rig(service_limits=limits(batch=BatchLimits(max_posts=2, max_concurrent_posts=4)))
    values = [value for value in numbered(10) if value is not None]
    rig.processor.hold(*values)
    rig.kafka.produce("posts", values)
    async with running(rig):
        assert rig.service.snapshot().batches == 2
        rig.processor.release()
        await rig.turn(0.1)
        assert len(rig.events()) == 10


async def test_fetching_goes_on_while_inference_hangs() -> None:
    rig = Rig()
    rig.processor.hold(b"post-0000")
    rig.kafka.produce("posts", numbered(1))
    async with running(rig):
        consumer = rig.kafka.consumers[0]
        before = consumer.polls
        rig.kafka.produce("posts", numbered(8, "later"))
        await rig.turn(5)
        assert consumer.polls >= before + 40
        assert len(rig.events()) == 8
        assert rig.service.snapshot().oldest_in_flight_s >= 5
        assert rig.committed == 0


@pytest.mark.parametrize(
    ("bound", "reason"),
    [
        (InFlightLimits(max_posts=8, resume_at=0.5), "records"),
        (InFlightLimits(max_bytes=8 * 9, resume_at=0.5), "bytes"),
    ],
)
async def test_past_the_bound_partitions_are_paused_and_resumed_below_the_low_water_mark(
    bound: InFlightLimits, reason: str
) -> None:
    rig = Rig(service_limits=limits(in_flight=bound))
    values = [value for value in numbered(100) if value is not None]
    rig.processor.hold(*values)
    rig.kafka.produce("posts", values)
    async with running(rig):
        await rig.turn(2)
        state = rig.service.snapshot()
        assert state.paused == reason
        assert state.in_flight_records == 8
        polls = rig.kafka.consumers[0].polls
        await rig.turn(2)
        assert rig.kafka.consumers[0].polls > polls
        assert rig.service.snapshot().in_flight_records == 8
        rig.processor.release()
        await rig.turn(2)
        assert rig.seen.resumes >= 1
        assert rig.events() == values


async def test_while_no_model_server_is_available_nothing_is_fetched_and_nothing_refused() -> None:
    rig = Rig()
    rig.processor.available = False
    async with running(rig):
        rig.kafka.produce("posts", numbered(5))
        await rig.turn(60)
        state = rig.service.snapshot()
        assert (state.paused, state.available, state.ready) == ("unavailable", False, False)
        assert rig.processor.calls == []
        rig.processor.available = True
        await rig.turn(1)
        assert rig.events() == numbered(5)
        assert rig.seen.dead_letters == []
        assert rig.service.snapshot().ready


async def test_work_has_its_time_again_when_a_model_server_comes_back() -> None:
    rig = Rig(service_limits=limits(in_flight=InFlightLimits(max_posts=8)))
    health = Health(stuck_after_s=100)
    health.snapshot = rig.service.snapshot
    values = [value for value in numbered(20) if value is not None]
    rig.processor.hold(*values)
    rig.kafka.produce("posts", values)
    async with running(rig):
        rig.processor.available = False
        await rig.turn(500)
        assert health.not_alive() == []
        rig.processor.available = True
        await rig.turn(1)
        assert rig.service.snapshot().paused == "records"
        assert health.not_alive() == []
        await rig.turn(101)
        assert "none was finished" in health.not_alive()[0]


async def test_commits_come_by_time_and_sooner_by_count() -> None:
    policy = CommitPolicy(interval_s=10.0, every_records=8)
    rig = Rig(service_limits=limits(commit=policy))
    async with running(rig):
        rig.kafka.produce("posts", numbered(4))
        await rig.turn(1)
        assert rig.kafka.commits == []
        rig.kafka.produce("posts", numbered(4, "more"))
        await rig.turn(1)
        assert rig.committed == 8
        rig.kafka.produce("posts", numbered(1, "last"))
        await rig.turn(11)
        assert rig.committed == 9


async def test_what_is_lost_with_its_partition_makes_later_commits_no_more_frequent() -> None:
    policy = CommitPolicy(interval_s=1_000.0, every_records=8)
    rig = Rig(service_limits=limits(commit=policy))
    async with running(rig):
        rig.kafka.produce("posts", numbered(7))
        await rig.turn(1)
        rig.kafka.consumers[0].kick()
        await rig.kafka.rebalance(GROUP)  # its commit is refused
        await rig.turn(1)  # the seven come again
        rig.kafka.commits.clear()
        for index in range(8):
            rig.kafka.produce("posts", numbered(1, f"later-{index}"))
            await rig.turn(1)
        assert len(rig.kafka.commits) == 1


async def test_the_snapshot_tells_lag_age_and_counts() -> None:
    rig = Rig()
    rig.processor.hold(b"post-0003")
    rig.kafka.produce("posts", numbered(6))
    async with running(rig):
        await rig.turn(2)
        state = rig.service.snapshot()
        (partition,) = state.partitions
        assert state.phase == "running"
        assert (partition.commit_position, partition.high_water, partition.lag) == (0, 6, 6)
        assert state.consumed == 6
        assert state.published == 2
        assert 2 <= state.oldest_in_flight_s <= 2.2


async def test_a_bounded_run_ends_when_it_has_caught_up() -> None:
    rig = Rig(partitions=3)
    for partition in range(3):
        rig.kafka.produce("posts", numbered(5, f"p{partition}"), partition)
    rig.start(until=Until(caught_up_s=1.0))
    assert await rig.end() == 0
    assert len(rig.events()) == 15
    assert rig.kafka.groups["emostream"].committed == {Partition("posts", n): 5 for n in range(3)}


async def test_a_bounded_run_takes_so_many_records_finishes_them_and_ends() -> None:
    rig = Rig()
    rig.kafka.produce("posts", numbered(50))
    rig.start(until=Until(max_records=11))
    assert await rig.end() == 0
    assert rig.events() == numbered(11)
    assert rig.committed == 11
    assert ("drain", 3) in rig.seen.closed


async def test_topics_of_a_pattern_are_consumed_and_no_others() -> None:
    topics = {"posts.a": 1, "posts.b": 1, "other": 1, "affect.events": 1, "affect.dlq": 1}
    rig = Rig(None, kafka_options=options(input_topics=(), input_pattern=r"posts\..*"))
    rig.kafka.logs.update(FakeKafka(topics).logs)
    for topic in ("posts.a", "posts.b", "other"):
        rig.kafka.produce(topic, [topic.encode()])
    async with running(rig):
        await rig.turn(1)
        assert rig.events() == [b"posts.a", b"posts.b"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"input_topics": ()}, "input.topics"),
        ({"input_pattern": "x"}, "one of the two"),
        ({"input_topics": (), "input_pattern": "("}, "no regular expression"),
        ({"input_topics": (), "input_pattern": ".*"}, "read back"),
        ({"input_topics": ("posts", "affect.dlq")}, "read back"),
        ({"rebalance_timeout_s": 20.0}, "rebalance_timeout_s"),
        ({"max_poll_interval_s": 30.0}, "max_poll_interval_s"),
    ],
)
def test_what_can_not_work_is_refused_at_once(changed: dict[str, object], says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        Rig(kafka_options=options(**changed), service_limits=limits(drain=DrainBudget()))


async def test_an_analysis_that_waits_for_a_server_is_cancelled_when_it_is_hopeless() -> None:
    rig = Rig()
    processor: FakeProcessor = rig.processor
    processor.hold(b"post-0000")
    rig.kafka.produce("posts", numbered(1))
    async with running(rig):
        processor.available = False
        began = rig.clock.now
        assert await rig.stop() == 0
        assert rig.clock.now - began < 5
        assert processor.cancelled == 1
        assert rig.committed in {None, 0}
