"""Each phase ends at its own deadline, whatever the brokers do."""

import asyncio
from collections.abc import Iterable
from typing import Any

from structlog.testing import capture_logs

from consumer.options import CommitPolicy, DrainBudget, PublishLimits, WatchdogLimits
from runtime.kafka.errors import Fenced, ProducerLost, Unreachable
from runtime.kafka.protocol import Partition
from tests.consumer.delivery.rig import Rig, limits, numbered, options, running


async def test_sends_that_fail_fast_without_end_end_at_the_publishing_deadline() -> None:
    rig = Rig(service_limits=limits(publish=PublishLimits(timeout_s=6)))
    rig.kafka.send_faults = [Unreachable("no leader") for _ in range(100_000)]
    rig.kafka.produce("posts", numbered(3))
    rig.start()
    began = rig.clock.now
    assert await rig.end() == 1
    assert 6 <= rig.clock.now - began <= 9
    assert "within 6 s" in str(rig.service.error)
    assert "no leader" in str(rig.service.error)


async def test_a_send_that_waits_for_its_buffer_ends_at_the_publishing_deadline() -> None:
    rig = Rig(service_limits=limits(publish=PublishLimits(timeout_s=6)))
    rig.kafka.sends_hang = True
    rig.kafka.produce("posts", numbered(3))
    rig.start()
    began = rig.clock.now
    assert await rig.end() == 1
    assert 6 <= rig.clock.now - began <= 9


async def test_a_new_producer_that_finds_no_broker_ends_at_the_publishing_deadline() -> None:
    rig = Rig(service_limits=limits(publish=PublishLimits(timeout_s=6)))
    async with running(rig):
        rig.kafka.send_faults = [ProducerLost("out of order") for _ in range(100_000)]
        rig.kafka.start_faults = [Unreachable("connection refused") for _ in range(100_000)]
        rig.kafka.produce("posts", numbered(3))
        began = rig.clock.now
        assert await rig.end() == 1
        assert 6 <= rig.clock.now - began <= 9


async def test_with_frozen_brokers_it_has_stopped_within_30_s() -> None:
    rig = Rig(service_limits=limits(drain=DrainBudget(stop_s=20)))
    rig.kafka.held_topics = {"affect.events"}
    rig.kafka.commit_hangs = True
    rig.kafka.stop_takes_s = 60
    rig.kafka.produce("posts", [*numbered(8), b"poison"])
    async with running(rig):
        began = rig.clock.now
        assert await rig.stop() == 0
        assert rig.clock.now - began < 30


async def test_a_stop_waits_for_consumer_and_producer_to_disconnect() -> None:
    rig = Rig()
    rig.kafka.stop_takes_s = 1.5
    async with running(rig):
        rig.service.stop()
        await rig.turn(1.0)
        seen = [(rig.service.snapshot().phase, rig.kafka.producers[0].stopped)]
        await rig.turn(1.0)
        seen.append((rig.service.snapshot().phase, rig.kafka.producers[0].stopped))
        assert seen == [("draining", False), ("stopped", True)]
        assert rig.kafka.consumers[0].stopped


async def test_the_service_has_not_stopped_before_its_producer_has() -> None:
    """What the producer still holds is sent meanwhile; here the consumer leaves at once."""
    rig = Rig()
    async with running(rig):
        await rig.turn(0.1)
        consumer = rig.kafka.consumers[0]
        whole = consumer.stop

        async def leave_at_once(*, timeout_s: float = 10.0) -> None:
            takes, rig.kafka.stop_takes_s = rig.kafka.stop_takes_s, 0.0
            await whole(timeout_s=timeout_s)
            rig.kafka.stop_takes_s = takes

        consumer.stop = leave_at_once  # type: ignore[method-assign]
        rig.kafka.stop_takes_s = 1.5
        rig.service.stop()
        await rig.turn(1.0)
        assert (rig.service.snapshot().phase, rig.kafka.producers[0].stopped) == ("draining", False)
        await rig.turn(1.0)
        assert (rig.service.snapshot().phase, rig.kafka.producers[0].stopped) == ("stopped", True)


async def test_an_error_does_not_wait_for_the_analysis() -> None:
    rig = Rig(service_limits=limits(publish=PublishLimits(timeout_s=6)))
    rig.processor.slow_down(b"slow")
    rig.kafka.sends_hang = True
    rig.kafka.produce("posts", [b"slow", b"a"])
    rig.start()
    began = rig.clock.now
    assert await rig.end() == 1
    assert rig.clock.now - began <= 6 + 3
    assert rig.processor.cancelled == 1


async def test_faults_fewer_than_the_attempts_are_overcome_within_one_commit() -> None:
    rig = Rig(service_limits=limits(commit=CommitPolicy(interval_s=100, attempts=3)))
    rig.kafka.commit_faults = [Unreachable("coordinator loading")] * 2
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        await rig.turn(101)
        assert rig.committed == 3
        assert rig.seen.commit_failures == []


async def test_a_commit_that_is_given_up_is_cancelled_and_never_beside_another() -> None:
    rig = Rig(service_limits=limits(commit=CommitPolicy(interval_s=1, timeout_s=2, attempts=3)))
    rig.kafka.commit_hangs = True
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        await rig.turn(20)
        assert rig.kafka.cancelled_commits >= 6
        rig.service.stop()
        await rig.end()
    assert rig.kafka.most_commits_under_way == 1
    assert rig.kafka.commits_under_way == 0


async def test_commits_that_fail_for_minutes_are_a_line_a_minute_and_one_at_the_end() -> None:
    """The group's coordinator is away, the partitions' leaders are not: 840 lines an hour."""
    rig = Rig(service_limits=limits(commit=CommitPolicy(interval_s=1, timeout_s=2, attempts=3)))
    rig.kafka.commit_hangs = True
    rig.kafka.produce("posts", numbered(3))
    with capture_logs() as logs:
        async with running(rig):
            await rig.turn(200)
            rig.kafka.commit_hangs = False
            await rig.turn(10)
            assert rig.committed == 3
    told = [entry for entry in logs if str(entry["event"]).startswith("commit")]
    names = [entry["event"] for entry in told]
    assert names == ["commit_retried"] * 3 + ["commit_failed"] * 4 + ["commits_go_on"]
    assert told[3]["error"] == "no answer to a commit within 2 s"
    assert "coordinator" in told[3]["advice"]


async def test_partitions_that_are_taken_away_wait_for_the_commit_under_way() -> None:
    """Two commits at once could arrive in either order, and the older offset would stay."""
    rig = Rig(service_limits=limits(commit=CommitPolicy(interval_s=1, timeout_s=4, attempts=1)))
    rig.kafka.commit_hangs = True
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        await rig.turn(1.5)
        assert rig.kafka.commits_under_way == 1
        moving = asyncio.ensure_future(rig.kafka.rebalance("emostream"))
        await rig.turn(1)
        assert not moving.done()
        rig.kafka.commit_hangs = False
        while not moving.done():
            await rig.turn(1)
        assert rig.kafka.most_commits_under_way == 1
        assert rig.committed == 3


async def test_a_good_commit_forgives_the_fenced_ones_before_it() -> None:
    rig = Rig(kafka_options=options(group_instance_id="pod-1"))
    async with running(rig):
        for step in range(12):
            rig.kafka.produce("posts", numbered(2, f"step-{step}"))
            rig.kafka.commit_faults = [Fenced("rebalanced")]
            await rig.turn(1.2)
            await rig.kafka.rebalance("emostream")
            await rig.turn(1.5)
        assert rig.service.error is None
        assert rig.committed == 24


async def test_a_consumer_that_can_not_connect_is_stopped_before_the_next_one() -> None:
    rig = Rig()
    rig.kafka.start_faults = [Unreachable("refused")]
    made: list[str] = []
    brokers = rig.service._brokers
    whole = brokers.consumer

    def consumer() -> object:
        made.append("made")
        found = whole()
        stop = found.stop

        async def stopped(*, timeout_s: float = 10.0) -> None:
            made.append("stopped")
            await stop(timeout_s=timeout_s)

        found.stop = stopped  # type: ignore[method-assign]
        return found

    brokers.consumer = consumer  # type: ignore[method-assign, assignment]
    async with running(rig):
        await rig.turn(3)
        assert made == ["made", "stopped", "made"]


async def test_restarts_that_helped_are_forgotten() -> None:
    rig = Rig(service_limits=limits(watchdog=WatchdogLimits(stall_s=20, max_restarts=2)))
    async with running(rig):
        for step in range(4):
            rig.kafka.produce("posts", numbered(2, f"step-{step}"))
            await rig.turn(2)
            rig.kafka.consumers[-1].stuck = True
            rig.kafka.produce("posts", numbered(2, f"unseen-{step}"))
            await rig.turn(60)
            assert rig.seen.restarts == step + 1
        assert rig.service.error is None


async def test_a_probe_that_fails_is_no_reason_to_replace_the_consumer() -> None:
    rig = Rig(service_limits=limits(watchdog=WatchdogLimits(stall_s=20)))
    async with running(rig):
        await rig.turn(2)
        rig.kafka.consumers[0].stuck = True
        rig.kafka.end_offsets_fault = Unreachable("timed out")
        rig.kafka.produce("posts", numbered(2))
        await rig.turn(300)
        assert rig.seen.restarts == 0
        rig.kafka.end_offsets_fault = None
        await rig.turn(60)
        assert rig.seen.restarts == 1


async def test_the_watchdog_sleeps_during_a_rebalance() -> None:
    rig = Rig(service_limits=limits(watchdog=WatchdogLimits(stall_s=20)))
    rig.kafka.produce("posts", numbered(2))
    async with running(rig):
        await rig.turn(2)
        consumer = rig.kafka.consumers[0]
        await consumer.revoke()
        rig.kafka.produce("posts", numbered(2, "meanwhile"))
        await rig.turn(600)
        assert rig.seen.restarts == 0
        await rig.kafka.rebalance("emostream")
        await rig.turn(2)
        assert rig.seen.restarts == 0
        assert len(rig.events()) == 4


async def test_a_rebalance_that_begins_while_the_watchdog_asks_is_no_reason_either() -> None:
    rig = Rig(service_limits=limits(watchdog=WatchdogLimits(stall_s=20)))
    async with running(rig):
        await rig.turn(2)
        consumer = rig.kafka.consumers[0]
        consumer.stuck = True
        rig.kafka.produce("posts", numbered(2))
        asked = consumer.end_offsets

        async def slowly(partitions: Iterable[Partition], *, timeout_s: float) -> Any:
            await consumer.revoke()
            return await asked(partitions, timeout_s=timeout_s)

        consumer.end_offsets = slowly  # type: ignore[method-assign]
        await rig.turn(60)
        assert rig.seen.restarts == 0
        await rig.kafka.rebalance("emostream")
