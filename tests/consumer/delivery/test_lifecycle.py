"""Start, stop, and every way in which the service ends."""

import asyncio
import os
import signal

import pytest

from consumer.options import CommitPolicy, DrainBudget, WatchdogLimits
from emollm.errors import Stop, Unauthorized, Unavailable, WrongModel, WrongRequest
from runtime.kafka.errors import Denied, NoOffset, Unreachable
from tests.consumer.delivery.rig import GROUP, Rig, limits, numbered, running
from tests.runtime.fake_clock import settle
from tests.runtime.kafka.fake_kafka import FakeKafka


async def test_stop_drains_what_is_started_and_commits_it() -> None:
    rig = Rig()
    rig.processor.hold(b"post-0000")
    rig.kafka.produce("posts", numbered(4))
    async with running(rig):
        rig.service.stop()
        await rig.turn(3)
        rig.kafka.produce("posts", numbered(3, "too-late"))
        rig.processor.release()
        assert await rig.end() == 0
        assert rig.events() == numbered(4)
        assert rig.committed == 4
        assert rig.kafka.consumers[0].stopped
        assert rig.kafka.producers[0].stopped


async def test_stop_keeps_to_its_budget_and_commits_only_what_is_finished() -> None:
    rig = Rig(service_limits=limits(drain=DrainBudget(stop_s=10)))
    rig.processor.hold(b"post-0005")
    rig.kafka.produce("posts", numbered(8))
    async with running(rig):
        began = rig.clock.now
        assert await rig.stop() == 0
        assert 10 <= rig.clock.now - began <= 12
        assert rig.committed == 4
        assert rig.service.snapshot().phase == "stopped"


async def test_a_first_signal_stops_and_a_second_one_abandons_without_committing() -> None:
    rig = Rig(service_limits=limits(commit=CommitPolicy(interval_s=1_000)))
    rig.processor.hold(b"post-0005")
    rig.kafka.produce("posts", numbered(8))
    async with running(rig, signals=True):
        os.kill(os.getpid(), signal.SIGTERM)
        await rig.turn(0.5)
        assert rig.service.snapshot().phase == "draining"
        assert rig.task is not None
        assert not rig.task.done()
        began = rig.clock.now
        os.kill(os.getpid(), signal.SIGINT)
        assert await rig.end() == 0
        assert rig.clock.now - began < 3
        assert rig.kafka.commits == []


async def test_a_stop_during_the_start_ends_it() -> None:
    rig = Rig()
    rig.kafka.start_faults = [Unreachable("connection refused")] * 1_000
    rig.start()
    await rig.turn(5)
    rig.service.stop()
    assert await rig.end(5) == 0


async def test_brokers_that_start_later_are_waited_for() -> None:
    rig = Rig()
    rig.kafka.start_faults = [Unreachable("connection refused")] * 10
    rig.kafka.produce("posts", numbered(2))
    async with running(rig):
        await rig.turn(15)
        assert rig.events() == numbered(2)


async def test_brokers_that_never_come_end_the_service_with_exit_1() -> None:
    rig = Rig()
    rig.kafka.start_faults = [Unreachable("connection refused")] * 1_000
    rig.start()
    assert await rig.end() == 1
    assert "fake:9092" in str(rig.service.error)


async def test_refused_credentials_end_the_service_with_exit_3() -> None:
    rig = Rig()
    rig.kafka.start_faults = [Denied("SASL")]
    rig.start()
    assert await rig.end() == 3


@pytest.mark.parametrize("missing", ["posts", "affect.events", "affect.dlq"])
async def test_a_missing_topic_ends_the_service_with_exit_2_and_the_command_that_makes_it(
    missing: str,
) -> None:
    topics = {"posts": 1, "affect.events": 1, "affect.dlq": 1}
    del topics[missing]
    rig = Rig(FakeKafka(topics))
    rig.start()
    assert await rig.end() == 2
    assert missing in str(rig.service.error)
    assert "emostream topics create" in str(rig.service.error)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unauthorized("401", status=401), 3),
        (WrongModel("unreadable"), 3),
        (WrongRequest("404", status=404), 2),
    ],
)
async def test_a_model_that_no_one_can_ask_ends_the_service(error: Stop, status: int) -> None:
    rig = Rig()
    rig.processor.raises = error
    rig.kafka.produce("posts", numbered(3))
    rig.start()
    assert await rig.end() == status
    assert rig.service.error is error
    assert rig.committed in {None, 0}
    assert rig.kafka.values("affect.dlq") == []


async def test_a_servers_trouble_that_slips_through_is_tried_again_and_refuses_nothing() -> None:
    rig = Rig()
    rig.processor.raises = Unavailable("connection reset")
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        await rig.turn(30)
        assert rig.kafka.values("affect.dlq") == []
        rig.processor.raises = None
        await rig.turn(3)
        assert rig.events() == numbered(3)


async def test_no_offset_to_begin_from_is_a_wrong_configuration() -> None:
    rig = Rig()
    rig.kafka.fetch_faults = [NoOffset("posts-0")]
    rig.start()
    assert await rig.end() == 2


async def test_a_fetch_that_fails_is_tried_again() -> None:
    rig = Rig()
    rig.kafka.fetch_faults = [Unreachable("timed out")] * 5
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        await rig.turn(5)
        assert rig.events() == numbered(3)


async def test_commits_that_fail_are_retried_and_then_wait_for_the_next() -> None:
    rig = Rig()
    rig.kafka.commit_faults = [Unreachable("coordinator loading")] * 4
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        await rig.turn(1.2)
        assert rig.seen.commit_failures == ["error"]
        await rig.turn(2)
        assert rig.committed == 3


async def test_a_commit_without_an_answer_blocks_neither_fetching_nor_the_stop() -> None:
    rig = Rig()
    rig.kafka.commit_hangs = True
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        await rig.turn(5)
        rig.kafka.produce("posts", numbered(3, "more"))
        await rig.turn(5)
        assert len(rig.events()) == 6
        began = rig.clock.now
        assert await rig.stop() == 0
        assert rig.clock.now - began < 8


async def test_a_refused_commit_ends_the_service_with_exit_3() -> None:
    rig = Rig()
    rig.kafka.commit_faults = [Denied("group authorization failed")]
    rig.kafka.produce("posts", numbered(3))
    rig.start()
    assert await rig.end() == 3


async def test_a_stuck_consumer_is_replaced() -> None:
    rig = Rig(service_limits=limits(watchdog=WatchdogLimits(stall_s=20)))
    rig.kafka.produce("posts", numbered(2))
    async with running(rig):
        await rig.turn(2)
        rig.kafka.consumers[0].stuck = True
        rig.kafka.produce("posts", numbered(2, "unseen"))
        await rig.turn(40)
        assert rig.seen.restarts == 1
        assert len(rig.events()) == 4
        assert rig.committed == 4
        assert rig.kafka.consumers[0].stopped
        await rig.turn(200)
        assert rig.seen.restarts == 1


async def replacing(rig: Rig) -> None:
    """Turn the clock until the rig's consumer, which is stuck, is being replaced."""
    rig.kafka.consumers[0].stuck = True
    rig.kafka.produce("posts", numbered(2, "unseen"))
    while not rig.seen.restarts:
        await rig.turn()


async def test_a_member_whose_consumer_is_replaced_is_ready_once_it_has_its_share_again() -> None:
    rig = Rig(service_limits=limits(watchdog=WatchdogLimits(stall_s=20)))
    async with running(rig):
        rig.kafka.stop_takes_s = 2.0
        await replacing(rig)
        assert not rig.service.snapshot().ready
        await rig.turn(5)
        assert rig.service.snapshot().ready


async def test_an_assignment_that_comes_to_a_consumer_while_it_is_replaced_leaves_nothing() -> None:
    rig = Rig(partitions=2, service_limits=limits(watchdog=WatchdogLimits(stall_s=20)))
    other = Rig(rig.kafka, clock=rig.clock)
    async with running(rig):
        rig.kafka.stop_takes_s = 2.0
        await replacing(rig)
        await rig.kafka.rebalance(GROUP)
        assert not rig.service.snapshot().ready
        async with running(other):
            await rig.turn(5)
            shares = [one.service.snapshot().partitions for one in (rig, other)]
            assert [len(share) for share in shares] == [1, 1]


async def test_an_assignment_that_comes_while_the_service_ends_leaves_no_task() -> None:
    rig = Rig()
    rig.processor.hold(*(value for value in numbered(4) if value is not None))
    rig.kafka.produce("posts", numbered(4))
    async with running(rig):
        rig.kafka.stop_takes_s = 2.0
        before = asyncio.all_tasks()
        moving = asyncio.ensure_future(rig.kafka.rebalance(GROUP))
        await settle()
        rig.service.stop()
        await rig.turn(1)
        rig.kafka.committed_faults = [Unreachable("no answer")] * 100
        rig.processor.release()
        assert await rig.end() == 0
        await moving
        assert asyncio.all_tasks() <= before


async def test_a_consumer_that_stays_stuck_ends_the_service_with_exit_1() -> None:
    rig = Rig(service_limits=limits(watchdog=WatchdogLimits(stall_s=20, max_restarts=2)))
    rig.kafka.produce("posts", numbered(2))
    rig.kafka.all_stuck = True
    rig.start()
    assert await rig.end() == 1
    assert rig.seen.restarts == 2
    assert "2 new consumers" in str(rig.service.error)


async def test_idle_topics_and_paused_consumers_are_not_stuck() -> None:
    rig = Rig(service_limits=limits(watchdog=WatchdogLimits(stall_s=5)))
    async with running(rig):
        await rig.turn(60)
        rig.processor.available = False
        rig.kafka.produce("posts", numbered(2))
        await rig.turn(60)
        await settle()
        assert rig.seen.restarts == 0
