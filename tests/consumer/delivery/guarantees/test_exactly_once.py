"""Exactly-once: whatever fails, a reader of committed events sees each post's outcome once."""

import asyncio
from typing import Any

import pytest

from consumer.options import CommitPolicy, DrainBudget, WatchdogLimits
from runtime.errors import EXIT_DONE, EXIT_HALTED, EXIT_MISCONFIGURED
from runtime.kafka.errors import (
    Denied,
    KafkaFault,
    TransactionsRefused,
    Unreachable,
)
from runtime.kafka.offset_metadata import BEGINS_HERE
from tests.consumer.delivery.rig import GROUP, POSTS, Rig, limits, numbered, options, running
from tests.runtime.fake_clock import settle
from tests.runtime.kafka.fake_kafka import FakeKafka
from tests.runtime.kafka.fake_transactions import FakeTransactions

ID = "emostream/posts/0"


def rig(kafka: FakeKafka | None = None, **changed: Any) -> Rig:
    """A service that promises exactly-once."""
    return Rig(
        kafka,
        clock=None if kafka is None else kafka.clock,  # type: ignore[arg-type]
        kafka_options=options(guarantee="exactly-once"),
        **changed,
    )


async def test_events_and_their_offset_become_visible_together() -> None:
    it = rig()
    seen: list[tuple[int, int]] = []
    it.kafka.on_commit = lambda _, offset: seen.append((offset, len(it.events())))
    it.kafka.held_topics = {"affect.events"}
    it.kafka.produce("posts", numbered(6))
    async with running(it):
        assert (it.events(), it.committed) == ([], None)
        it.kafka.acknowledge("affect.events")
        await it.turn()
        it.kafka.acknowledge("affect.events")
        await it.turn()
        assert it.events() == numbered(6)
        assert it.committed == 6
        assert all(offset <= events for offset, events in seen)


async def test_an_offset_says_of_which_topic_it_is() -> None:
    it = rig()
    it.kafka.produce("posts", numbered(1))
    async with running(it):
        assert it.kafka.groups[GROUP].metadata[POSTS] == "topic-id=id;cluster-id=fake-cluster"


async def test_a_slow_post_holds_its_partition_and_no_other_ones_place() -> None:
    it = rig(partitions=2)
    it.processor.slow_down(b"post-0000")
    it.kafka.produce("posts", numbered(8))
    async with running(it):
        assert it.events() == []
        it.kafka.produce("posts", numbered(8, "other"), partition=1)
        await it.turn()
        assert it.events() == numbered(8, "other")
        it.processor.release()
        await it.turn()
        assert len(it.events()) == 16
        assert it.committed == 8


async def test_skipped_records_and_dead_letters_are_settled_in_the_transaction() -> None:
    it = rig()
    it.kafka.produce("posts", [b"skip-1", b"blank-1", b"post-1", b"skip-2"])
    async with running(it):
        assert it.committed == 4
        assert it.events() == [b"post-1"]
        assert it.kafka.values("affect.dlq") == [b"blank-1"]
        assert it.seen.skipped_by_rule["where"] == 2
        assert it.service.snapshot().dead_letters == 1


async def test_a_prefix_of_skipped_records_alone_moves_the_offset() -> None:
    it = rig()
    it.kafka.produce("posts", [b"skip-1", b"skip-2"])
    async with running(it):
        assert it.committed == 2


async def test_markers_at_the_end_of_the_input_move_the_offset() -> None:
    it = rig()
    it.kafka.produce("posts", numbered(2))
    it.kafka.logs[POSTS].skip(1)
    async with running(it):
        await it.turn(2)
        assert it.committed == 3


async def test_reading_begins_where_the_group_is_after_the_earlier_owner_is_fenced() -> None:
    """What an owner committed after the client had looked, and before it was fenced, isn't read."""
    it = rig()
    it.kafka.produce("posts", numbered(4))
    await it.kafka.transaction_gate.wait()
    it.start()
    await settle()
    it.kafka.transaction_gate.clear()
    moving = asyncio.ensure_future(it.kafka.rebalance(GROUP))
    await it.turn(1)
    # The client has read the committed offset by now; meanwhile another owner goes on.
    it.kafka.produce("posts", numbered(8)[4:])
    it.kafka.groups[GROUP].committed[POSTS] = 6
    it.kafka.transaction_gate.set()
    await it.turn(1)
    await moving
    await it.turn(1)
    assert it.events() == numbered(4) + numbered(8)[6:]
    assert await it.stop() == EXIT_DONE


async def test_nothing_is_read_before_the_earlier_owner_is_fenced() -> None:
    it = rig()
    it.start()
    await settle()
    it.kafka.transaction_gate.clear()
    moving = asyncio.ensure_future(it.kafka.rebalance(GROUP))
    await settle()
    it.kafka.produce("posts", numbered(4))
    await it.turn(5)
    assert moving.done(), "the group isn't held up by it"
    assert not it.processor.calls
    assert it.service.snapshot().not_begun == ("posts-0",)
    it.kafka.transaction_gate.set()
    await it.turn(20)
    assert it.events() == numbered(4)
    assert it.service.snapshot().not_begun == ()
    assert await it.stop() == EXIT_DONE


async def test_a_partition_that_can_not_begin_is_waited_for_with_the_same_consumer() -> None:
    it = rig(service_limits=limits(watchdog=WatchdogLimits(stall_s=20)))
    async with running(it):
        it.kafka.transaction_gate.clear()
        it.kafka.produce("posts", numbered(4))
        await it.kafka.rebalance(GROUP)
        await it.turn(300)
        assert it.seen.restarts == 0
        it.kafka.transaction_gate.set()
        await it.turn(20)
        assert it.events() == numbered(4)


async def test_a_partition_that_begins_while_it_is_taken_away_is_read_no_earlier_than_others() -> (
    None
):
    """Nothing is committed yet: what is read before it begins again would be passed by its offset.

    Several consumers that start at once have such rebalances: a partition is taken away again
    before the coordinator has let its producer start, while another one of the member drains.
    """
    rhythm = CommitPolicy(interval_s=60, timeout_s=5)
    it = rig(partitions=2, service_limits=limits(drain=DrainBudget(revoke_s=5), commit=rhythm))
    it.kafka.committed_faults = [Unreachable("the coordinator loads its log")]
    it.processor.slow_down(b"slow")
    it.kafka.produce("posts", numbered(4), 0)
    it.kafka.produce("posts", [b"slow"], 1)
    async with running(it):
        moving = asyncio.ensure_future(it.kafka.rebalance(GROUP))
        await it.turn(4)
        it.kafka.committed_takes_s = 0.3
        await it.turn(4)
        assert moving.done()
        it.processor.release()
        await it.turn(3)
        assert it.events() == [*numbered(4), b"slow"]
        assert it.processor.seen[b"post-0000"] == 1


async def test_an_assignment_that_follows_another_reads_nothing_before_it_begins() -> None:
    """As the last one of a consumer that was replaced, and the first one of its successor."""
    it = rig()
    it.processor.hold(b"post-0000")
    it.kafka.produce("posts", numbered(3))
    async with running(it):
        (consumer,) = it.kafka.consumers
        it.kafka.committed_takes_s = 0.3
        await consumer.assign(frozenset({POSTS}), generation=2)
        await it.turn(1)
        it.processor.release()
        await it.turn(1)
        assert it.events() == numbered(3)
        assert it.committed == 3


async def test_a_fenced_member_publishes_nothing_and_drops_the_partition() -> None:
    it = rig()
    it.processor.hold(b"post-0000")
    it.kafka.produce("posts", numbered(4))
    async with running(it):
        newer = it.kafka.brokers(options()).transactional_producer(ID)
        await newer.start()
        it.processor.release()
        await it.turn(1)
        assert it.events() == []
        assert it.committed is None
        assert it.seen.transactions == ["fenced"]
        assert it.service.snapshot().in_flight_records == 0


async def test_a_fenced_partition_that_stays_ours_is_read_again_from_its_offset() -> None:
    """The one that fenced it is dead, or it was the brokers' own timeout."""
    it = rig()
    it.kafka.produce("posts", numbered(4))
    async with running(it):
        assert it.committed == 4
        newer = it.kafka.brokers(options()).transactional_producer(ID)
        await newer.start()
        it.kafka.produce("posts", numbered(8)[4:])
        await it.turn(1)
        assert it.events() == numbered(4)
        await it.turn(12)
        assert it.events() == numbered(8)
        assert it.committed == 8


async def test_a_partition_that_never_committed_is_read_again_from_its_start() -> None:
    it = rig()
    it.processor.hold(b"post-0000")
    it.kafka.produce("posts", numbered(4))
    async with running(it):
        await it.kafka.brokers(options()).transactional_producer(ID).start()
        it.processor.release()
        await it.turn(14)
        assert it.events() == numbered(4)
        assert it.committed == 4


async def test_an_aborted_transaction_is_tried_again_without_asking_the_model_again() -> None:
    it = rig()
    it.kafka.transaction_faults = [Unreachable("not this time")]
    it.kafka.produce("posts", numbered(3))
    async with running(it):
        await it.turn(2)
        assert it.events() == numbered(3)
        assert it.committed == 3
        assert set(it.processor.seen.values()) == {1}
        assert it.kafka.aborted == 1


async def test_a_commit_whose_answer_was_lost_is_not_made_twice() -> None:
    it = rig()
    it.kafka.transaction_faults = [Unreachable("no answer")]
    it.kafka.committed_nevertheless = True
    it.kafka.produce("posts", numbered(3))
    async with running(it):
        await it.turn(2)
        assert it.events() == numbered(3)
        assert it.committed == 3
        assert it.service.snapshot().committed == 3


async def test_an_offset_that_somebody_else_moved_is_where_reading_goes_on() -> None:
    it = rig()
    it.kafka.produce("posts", numbered(2))
    async with running(it):
        it.kafka.transaction_faults = [Unreachable("not this time")]
        it.kafka.groups[GROUP].committed[POSTS] = 4
        it.kafka.produce("posts", numbered(6)[2:])
        await it.turn(10)
        assert it.events() == numbered(2) + numbered(6)[4:]
        assert it.committed == 6


async def test_where_the_group_began_is_no_move() -> None:
    """It is committed as `latest` is looked up, which may be after this member has looked."""
    it = rig()
    it.kafka.produce("posts", numbered(3))
    it.processor.hold(b"post-0000")
    async with running(it):
        await it.turn(2)
        it.kafka.groups[GROUP].committed[POSTS] = 0
        it.kafka.groups[GROUP].metadata[POSTS] = BEGINS_HERE
        it.kafka.transaction_faults = [Unreachable("not this time")]
        it.processor.release()
        await it.turn(10)
        assert it.events() == numbered(3)
        assert set(it.processor.seen.values()) == {1}
        assert it.committed == 3


async def test_so_it_is_where_nothing_was_committed_before() -> None:
    """Of a new group: a member that was frozen in its first transaction, and another took over."""
    it = rig()
    it.processor.hold(b"post-0000")
    it.kafka.produce("posts", numbered(6))
    async with running(it):
        await it.turn(2)
        it.kafka.transaction_faults = [Unreachable("it was frozen")]
        it.kafka.groups[GROUP].committed[POSTS] = 4
        it.processor.release()
        await it.turn(10)
        assert it.events() == numbered(6)[4:]
        assert it.committed == 6


async def test_an_event_that_the_topic_refuses_becomes_a_dead_letter_and_the_others_stay() -> None:
    it = rig()
    it.kafka.max_bytes["affect.events"] = 10
    it.kafka.produce("posts", [b"post-1", b"post-that-is-long", b"post-3"])
    async with running(it):
        await it.turn(2)
        assert it.events() == [b"post-1", b"post-3"]
        assert it.kafka.values("affect.dlq") == [b"post-that-is-long"]
        assert it.seen.dead_letters == [("publish", "TooLarge")]
        assert it.committed == 3


async def test_what_comes_before_a_refused_dead_letter_is_committed_and_the_service_ends() -> None:
    it = rig()
    it.kafka.max_bytes["affect.dlq"] = 10
    it.kafka.produce("posts", [b"post-1", b"blank", b"blank-that-is-too-long", b"post-3"])
    it.start()
    await it.turn(3)
    assert await it.end() == EXIT_MISCONFIGURED
    assert it.events() == [b"post-1"]
    assert it.kafka.values("affect.dlq") == [b"blank"]
    assert it.committed == 2


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Denied("TransactionalIdAuthorizationFailed"), EXIT_HALTED),
        (TransactionsRefused("InvalidTransactionTimeout"), EXIT_MISCONFIGURED),
    ],
)
async def test_without_the_right_to_transactions_it_does_not_start(
    fault: KafkaFault, status: int
) -> None:
    it = rig()
    it.kafka.transaction_start_faults = [fault]
    it.start()
    await it.turn(1)
    assert await it.end() == status
    assert not it.kafka.groups[GROUP].members


async def test_a_write_that_is_denied_ends_the_service_and_commits_nothing() -> None:
    it = rig()
    it.kafka.send_faults = [Denied("TopicAuthorizationFailedError")]
    it.kafka.produce("posts", numbered(2))
    it.start()
    await it.turn(3)
    assert await it.end() == EXIT_HALTED
    assert (it.events(), it.committed) == ([], None)


async def test_a_stop_commits_what_is_finished() -> None:
    it = rig(service_limits=limits(drain=DrainBudget(stop_s=5)))
    it.processor.hold(b"post-0000")
    it.kafka.produce("posts", numbered(4))
    async with running(it):
        it.service.stop()
        await it.turn(2)
        it.processor.release()
        assert await it.end() == EXIT_DONE
        assert it.events() == numbered(4)
        assert it.committed == 4


async def test_partitions_that_come_while_it_leaves_are_not_begun() -> None:
    """Its producer would fence the next owner's, which then waits for a session to time out."""
    it = rig()
    it.kafka.stop_takes_s = 2.0
    async with running(it):
        it.service.stop()
        await it.turn()
        assert not it.task or not it.task.done()
        began = it.kafka.transactional[ID]
        moving = asyncio.ensure_future(it.kafka.rebalance(GROUP))
        await it.turn()
        assert moving.done()
        assert it.kafka.transactional[ID] is began
        assert await it.end() == EXIT_DONE


async def test_a_second_signal_aborts_what_is_open() -> None:
    it = rig()
    it.kafka.held_topics = {"affect.events"}
    it.kafka.produce("posts", numbered(4))
    async with running(it):
        it.service.stop()
        await it.turn(1)
        it.service.abandon()
        assert await it.end(within_s=10) == EXIT_DONE
        assert it.kafka.aborted == 1
        assert it.seen.transactions == ["aborted"]
        it.kafka.acknowledge("affect.events")
        assert (it.events(), it.committed) == ([], None)


async def test_an_abort_that_a_library_cancels_is_left_to_the_brokers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def cancelled(_: FakeTransactions) -> None:
        raise asyncio.CancelledError

    it = rig(service_limits=limits(drain=DrainBudget(revoke_s=1)))
    it.kafka.held_topics = {"affect.events"}
    it.kafka.produce("posts", numbered(4))
    async with running(it):
        monkeypatch.setattr(FakeTransactions, "abort", cancelled)
        moving = asyncio.ensure_future(it.kafka.rebalance(GROUP))
        await it.turn(10)
        await moving
        it.kafka.held_topics = set()
        it.kafka.acknowledge("affect.events")
        await it.turn(2)
        assert it.service.error is None
        assert it.events() == numbered(4)


async def test_a_drain_does_not_wait_for_outcomes_behind_one_that_will_not_come() -> None:
    it = rig(service_limits=limits(drain=DrainBudget(revoke_s=5)))
    it.processor.slow_down(b"post-0001")
    it.kafka.produce("posts", numbered(4))
    async with running(it):
        assert it.committed == 1
        moving = asyncio.ensure_future(it.kafka.rebalance(GROUP))
        await it.turn(5.5)
        assert moving.done()
        assert it.kafka.commits[-1] == {POSTS: 1}
        assert it.events() == numbered(1)
        it.processor.release()
        await it.turn(1)
        assert it.events() == numbered(4)


async def test_so_it_is_with_a_dead_letter_behind_the_first_of_several_that_will_not_come() -> None:
    it = rig(service_limits=limits(drain=DrainBudget(revoke_s=5)))
    it.processor.slow_down(b"slow")
    it.kafka.produce("posts", [b"slow 1", b"poison", b"post-0002", b"post-0003", b"slow 2"])
    async with running(it):
        moving = asyncio.ensure_future(it.kafka.rebalance(GROUP))
        await it.turn(5.5)
        assert moving.done()
        assert (it.events(), it.committed) == ([], None)
        it.processor.release()
        await it.turn(1)
        assert it.committed == 5


async def test_a_topic_that_is_created_again_is_read_once_from_its_start() -> None:
    """Posts of the new one that are read as if of the old one aren't published as such."""
    it = rig()
    it.kafka.produce("posts", numbered(2))
    async with running(it):
        assert it.committed == 2
        it.kafka.create_again("posts")
        it.kafka.produce("posts", numbered(5, "new"))
        await it.turn(10)
        assert it.events() == numbered(5, "new") + numbered(2)
        assert it.kafka.groups[GROUP].metadata[POSTS] == "topic-id=id+;cluster-id=fake-cluster"
        assert it.committed == 5


async def test_two_members_share_the_partitions_and_each_post_has_one_event() -> None:
    it = rig(partitions=2)
    for partition in range(2):
        it.kafka.produce("posts", numbered(20, f"p{partition}"), partition)
    async with running(it):
        other = rig(it.kafka)
        other.start()
        await it.turn(3)
        for partition in range(2):
            it.kafka.produce("posts", numbered(40, f"p{partition}")[20:], partition)
        await it.turn(3)
        assert it.events() == numbered(40, "p0") + numbered(40, "p1")
        assert other.service.snapshot().committed > 0
        assert await other.stop() == EXIT_DONE


async def test_no_two_partitions_or_groups_share_a_transactional_id() -> None:
    ids = {
        options(group_id=group).transactional_id(topic, number)
        for group, topic in (("a", "b-c"), ("a-b", "c"), ("a", "b"))
        for number in (0, 1)
    }
    assert len(ids) == 6


async def test_posts_that_stay_unsettled_too_long_end_the_service() -> None:
    it = rig()
    it.kafka.transaction_faults = [Unreachable("never")] * 1_000
    it.kafka.produce("posts", numbered(2))
    it.start()
    await it.turn(130)
    assert await it.end() == 1
    assert (it.events(), it.committed) == ([], None)
    assert "posts-0 weren't settled within" in str(it.service.error)
