"""Partitions come and go: what is drained is committed, and only what is finished."""

import asyncio

import pytest

from consumer.options import BatchLimits, DrainBudget
from runtime.errors import EXIT_MISCONFIGURED
from runtime.kafka.errors import Fenced
from runtime.kafka.protocol import Partition
from tests.consumer.delivery.rig import GROUP, POSTS, Rig, limits, numbered, options, running
from tests.runtime.fake_clock import FakeClock, settle
from tests.runtime.kafka.fake_kafka import FakeKafka


async def rebalanced(rig: Rig) -> "asyncio.Task[None]":
    """A rebalance under way: its revoke waits for what is drained."""
    task = asyncio.ensure_future(rig.kafka.rebalance(GROUP))
    await settle()
    return task


async def test_drain_on_revoke_commits_what_is_finished_and_only_that() -> None:
    rig = Rig(service_limits=limits(drain=DrainBudget(revoke_s=5)))
    rig.processor.hold(b"post-0006")
    rig.kafka.produce("posts", numbered(12))
    async with running(rig):
        assert len(rig.events()) == 8
        moving = await rebalanced(rig)
        await rig.turn(4)
        assert not moving.done()
        await rig.turn(2)
        await moving
        assert rig.kafka.commits[-1] == {POSTS: 4}
        assert rig.processor.cancelled == 1


async def test_the_drain_waits_for_started_work_and_no_longer() -> None:
    rig = Rig(service_limits=limits(drain=DrainBudget(revoke_s=20)))
    rig.processor.hold(b"post-0000")
    rig.kafka.produce("posts", numbered(4))
    async with running(rig):
        moving = await rebalanced(rig)
        await rig.turn(3)
        rig.processor.release()
        await rig.turn(0.1)
        await moving
        assert rig.kafka.commits[-1] == {POSTS: 4}
        assert rig.events() == numbered(4)
        await rig.turn(2)
        assert rig.events() == numbered(4)


async def test_a_late_finish_of_a_lost_epoch_commits_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its events are acknowledged only when the partition is long lost and given back."""
    rig = Rig(service_limits=limits(drain=DrainBudget(revoke_s=1)))
    rig.kafka.held_topics = {"affect.events"}
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        (batch,) = rig.service._scheduler._publishing
        monkeypatch.setattr(batch, "cancel", lambda: False)
        moving = await rebalanced(rig)
        await rig.turn(4)
        await moving
        rig.kafka.commits.clear()
        assert rig.processor.seen[b"post-0000"] == 2
        assert rig.kafka.acknowledge("affect.events", 3) == 3
        await rig.turn(3)
        assert rig.seen.late == 3
        assert all(commit == {POSTS: 0} for commit in rig.kafka.commits)
        assert rig.kafka.acknowledge("affect.events") == 3
        await rig.turn(3)
        assert rig.committed == 3


async def test_what_was_not_started_is_dropped_and_done_by_the_next_owner() -> None:
    rig = Rig(
        service_limits=limits(
            batch=BatchLimits(max_posts=2, max_wait_s=0.01, max_concurrent_posts=1)
        )
    )
    rig.processor.hold(b"post-0000")
    rig.kafka.produce("posts", numbered(10))
    async with running(rig):
        moving = await rebalanced(rig)
        rig.processor.release()
        await rig.turn(0.1)
        await moving
        assert rig.seen.abandoned == 8
        await rig.turn(2)
        assert rig.events() == numbered(10)
        assert rig.committed == 10
        assert rig.service.snapshot().in_flight_records == 0


async def test_a_commit_refused_in_a_rebalance_neither_crashes_nor_blocks() -> None:
    rig = Rig()
    rig.kafka.produce("posts", numbered(4))
    async with running(rig):
        rig.kafka.consumers[0].kick()
        await rig.turn(3)
        assert rig.seen.commit_failures[0] == "fenced"
        assert rig.kafka.commits == []
        await rig.kafka.rebalance(GROUP)
        await rig.turn(2)
        assert rig.committed == 4
        assert len(rig.events()) == 8


async def test_while_no_server_is_available_a_rebalance_does_not_wait_for_answers() -> None:
    rig = Rig()
    rig.processor.hold(b"post-0000")
    rig.kafka.produce("posts", numbered(1))
    async with running(rig):
        rig.processor.available = False
        moving = await rebalanced(rig)
        await rig.turn(0.5)
        assert moving.done()


async def test_a_new_assignment_begins_paused_when_it_must() -> None:
    rig = Rig()
    rig.processor.available = False
    rig.kafka.produce("posts", numbered(5))
    async with running(rig):
        await rig.kafka.rebalance(GROUP)
        await rig.turn(1)
        assert rig.service.snapshot().consumed == 0


async def test_two_members_joining_and_leaving_lose_nothing() -> None:
    clock = FakeClock()
    kafka = FakeKafka({"posts": 4, "affect.events": 2, "affect.dlq": 1}, clock)

    def never_passes_unfinished(partition: Partition, offset: int) -> None:
        settled = set(kafka.values("affect.events")) | set(kafka.values("affect.dlq"))
        for record in kafka.logs[partition].records:
            assert record.offset >= offset or record.value in settled

    kafka.on_commit = never_passes_unfinished
    first, second = (Rig(kafka, clock=clock) for _ in range(2))
    async with running(first):
        for step in range(12):
            for partition in range(4):
                values = numbered(5, f"s{step}-p{partition}")
                if step == 5:
                    values[2] = f"poison-{partition}".encode()
                kafka.produce("posts", values, partition)
            if step == 3:
                second.start()
            if step == 8:
                second.service.stop()
            await clock.advance(0.3)
        await clock.advance(5)
        assert second.task is not None
        assert second.task.result() == 0
    posts = set(kafka.values("posts"))
    events, dead_letters = set(kafka.values("affect.events")), set(kafka.values("affect.dlq"))
    assert posts == events | dead_letters
    assert len(dead_letters) == 4
    assert not events & dead_letters
    committed = kafka.groups[GROUP].committed
    assert committed == {Partition("posts", number): 60 for number in range(4)}
    assert second.seen.published


async def test_a_topic_that_was_created_again_is_read_from_its_beginning() -> None:
    rig = Rig()
    rig.kafka.produce("posts", numbered(5))
    async with running(rig):
        await rig.turn(2)
        assert rig.kafka.commits[-1] == {POSTS: 5}
        rig.kafka.logs[POSTS].records.clear()
        rig.kafka.logs[POSTS].end = 0
        rig.kafka.consumers[0]._positions[POSTS] = 0
        rig.kafka.produce("posts", numbered(3, "again"))
        await rig.turn(2)
        assert len(rig.events()) == 8
        assert rig.kafka.commits[-1] == {POSTS: 3}


async def test_two_members_with_one_static_id_do_not_fight_without_end() -> None:
    """Each throws the other out, so neither commits: one must stop and say why."""
    rig = Rig(kafka_options=options(group_instance_id="pod-1"))
    rig.kafka.commit_faults = [Fenced("unknown member") for _ in range(100)]
    rig.kafka.produce("posts", numbered(4))
    rig.start()
    for _ in range(12):
        await rig.turn(1.5)
        thrown_out = asyncio.ensure_future(rig.kafka.rebalance(GROUP))
        await rig.turn(0.5)
        await thrown_out
    assert await rig.end() == EXIT_MISCONFIGURED
    assert "'pod-1'" in str(rig.service.error)


async def test_a_member_that_drains_while_it_is_thrown_out_is_not_accused() -> None:
    """Its commits are refused once a second for as long as that takes: nobody has its id."""
    rig = Rig(kafka_options=options(group_instance_id="pod-1"))
    rig.kafka.commit_faults = [Fenced("unknown member") for _ in range(30)]
    rig.kafka.produce("posts", numbered(4))
    async with running(rig):
        await rig.turn(60)
        assert rig.committed == 4


async def test_a_member_without_a_static_id_goes_on_however_often_it_is_fenced() -> None:
    rig = Rig()
    rig.kafka.commit_faults = [Fenced("unknown member") for _ in range(30)]
    rig.kafka.produce("posts", numbered(4))
    async with running(rig):
        await rig.turn(60)
        assert rig.committed == 4


async def test_a_rebalance_that_a_library_cancels_from_within_ends_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Aiokafka would leave its group silently, and the service go on without partitions."""

    async def cancelled(*_: object, **__: object) -> bool:
        monkeypatch.undo()
        raise asyncio.CancelledError

    rig = Rig()
    rig.kafka.produce("posts", numbered(1))
    rig.start()
    await rig.turn()
    monkeypatch.setattr(rig.service._guarantee, "commit", cancelled)
    await rig.kafka.rebalance(GROUP)
    assert await rig.end() == 1
    assert "cancelled unasked" in str(rig.service.error)
