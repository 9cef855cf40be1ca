"""Posts settle as their outcomes come, and what ends the service ends it as promised."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from consumer.options import BatchLimits, CommitPolicy, DrainBudget, FuseLimits
from consumer.processor import Done
from consumer.records import Record
from runtime.errors import Broken
from tests.consumer.delivery.rig import Rig, limits, numbered, running

FIVE_AT_ONCE = BatchLimits(max_posts=5, max_wait_s=0.01, max_concurrent_posts=1)
FUSE = FuseLimits(window=20, share=0.9)


async def test_a_slow_post_keeps_no_other_post_of_its_batch_waiting() -> None:
    rig = Rig(service_limits=limits(batch=BatchLimits(max_posts=8, max_wait_s=0.01)))
    rig.processor.slow_down(b"slow")
    rig.kafka.produce("posts", [b"a", b"slow-1", b"b", b"c"])
    async with running(rig):
        await rig.turn(2)
        assert rig.processor.calls == [[b"a", b"slow-1", b"b", b"c"]]
        assert rig.events() == [b"a", b"b", b"c"]
        assert rig.committed == 1
        rig.processor.release()
        await rig.turn(2)
        assert rig.committed == 4


async def test_a_slow_post_holds_its_own_place_only() -> None:
    """Two places: one slow post in each batch would have taken both."""
    rig = Rig(
        service_limits=limits(
            batch=BatchLimits(max_posts=4, max_wait_s=0.01, max_concurrent_posts=8)
        )
    )
    rig.processor.slow_down(b"slow")
    values: list[bytes | None] = []
    for number in range(7):
        values += [b"slow-%d" % number, *numbered(3, f"quick-{number}")]
    rig.kafka.produce("posts", values)
    async with running(rig):
        await rig.turn(2)
        assert len(rig.events()) == 21
        assert rig.service.snapshot().in_flight_records == 7


async def test_what_is_answered_within_the_stop_budget_is_kept() -> None:
    rig = Rig(service_limits=limits(drain=DrainBudget(stop_s=10)))
    rig.processor.slow_down(b"slow")
    rig.kafka.produce("posts", [b"a", b"b", b"slow", b"c"])
    async with running(rig):
        assert await rig.stop() == 0
        assert rig.processor.cancelled == 1
        assert rig.events() == [b"a", b"b", b"c"]
        assert rig.committed == 2


async def test_what_is_answered_at_the_end_of_the_budget_has_a_moment_to_be_acknowledged() -> None:
    rig = Rig(service_limits=limits(drain=DrainBudget(stop_s=10)))
    rig.kafka.held_topics = {"affect.events"}
    rig.processor.hold(b"a")
    rig.kafka.produce("posts", [b"a"])
    async with running(rig):
        rig.service.stop()
        await rig.turn(9.9)
        rig.processor.release()
        await rig.turn(0.4)
        assert rig.kafka.acknowledge("affect.events") == 1
        assert await rig.end() == 0
        assert rig.committed == 1


async def test_a_batch_that_awaits_its_acknowledgement_is_finished_while_no_server_is_there() -> (
    None
):
    rig = Rig()
    rig.kafka.held_topics = {"affect.events"}
    rig.kafka.produce("posts", numbered(3))
    async with running(rig):
        await rig.turn()
        rig.processor.available = False
        rig.service.stop()
        await rig.turn(3)
        assert rig.kafka.acknowledge("affect.events") == 3
        assert await rig.end() == 0
        assert rig.committed == 3


async def test_what_blows_the_fuse_is_not_on_the_dead_letter_topic() -> None:
    rig = Rig(service_limits=limits(batch=FIVE_AT_ONCE, fuse=FUSE))
    rig.kafka.produce("posts", numbered(100, "poison"))
    rig.start()
    assert await rig.end() == 3
    assert rig.kafka.values("affect.dlq") == numbered(15, "poison")


async def test_bad_records_that_are_done_before_their_neighbours_do_not_blow_the_fuse() -> None:
    """A slow model at the start of a backlog, of which a fifth can't be decoded."""
    batch = BatchLimits(max_posts=5, max_wait_s=0.01, max_concurrent_posts=500)
    rig = Rig(service_limits=limits(batch=batch, fuse=FUSE))
    rig.processor.slow_down(b"post")
    values: list[bytes | None] = []
    for number in range(80):
        values += [b"poison-%d" % number, *numbered(4, f"post-{number}")]
    rig.kafka.produce("posts", values)
    async with running(rig):
        await rig.turn(2)
        rig.processor.release()
        await rig.turn(4)
        assert len(rig.events()) == 320
        assert len(rig.kafka.values("affect.dlq")) == 80
        assert rig.committed == 400


async def test_nor_do_they_where_their_neighbours_are_batches_of_their_own() -> None:
    """Posts that come one by one, while the model is slow for some seconds."""
    batch = BatchLimits(max_posts=5, max_wait_s=0.01, max_concurrent_posts=500)
    rig = Rig(service_limits=limits(batch=batch, fuse=FUSE))
    rig.processor.slow_down(b"post")
    async with running(rig):
        for number in range(120):
            rig.kafka.produce("posts", [b"post-%d" % number if number % 3 else b"poison"])
            await rig.turn(0.05)
        rig.processor.release()
        await rig.turn(4)
        assert rig.service.error is None
        assert len(rig.events()) == 80
        assert rig.committed == 120


async def test_a_bug_in_every_post_blows_it_however_many_are_under_way() -> None:
    batch = BatchLimits(max_posts=5, max_wait_s=0.01, max_concurrent_posts=500)
    rig = Rig(service_limits=limits(batch=batch, fuse=FUSE))
    values = [value for value in numbered(400, "bug") if value is not None]
    rig.processor.hold(*values)
    rig.kafka.produce("posts", values)
    rig.start()
    await rig.turn(2)
    rig.processor.release()
    assert await rig.end() == 3


async def test_what_was_acknowledged_before_the_fuse_blew_is_committed_and_not_written_again() -> (
    None
):
    """Long commit interval: nothing but the end commits it."""
    rig = Rig(
        service_limits=limits(batch=FIVE_AT_ONCE, commit=CommitPolicy(interval_s=1_000), fuse=FUSE)
    )
    rig.kafka.produce("posts", numbered(100, "poison"))
    rig.start()
    assert await rig.end() == 3
    assert rig.committed == 15
    again = Rig(rig.kafka, clock=rig.clock, service_limits=rig.service._limits)
    again.start()
    assert await again.end() == 3
    dead_letters = rig.kafka.values("affect.dlq")
    assert dead_letters == numbered(30, "poison")
    assert again.committed == 30


async def test_events_that_are_all_too_large_blow_the_fuse() -> None:
    rig = Rig(service_limits=limits(batch=FIVE_AT_ONCE, fuse=FUSE))
    rig.processor.make = lambda record: (record.value or b"") + b"x" * 2_000_000
    rig.kafka.produce("posts", numbered(100))
    rig.start()
    assert await rig.end() == 3
    assert len(rig.kafka.values("affect.dlq")) < 40


async def test_it_says_that_these_are_published_and_to_be_sent_back() -> None:
    rig = Rig(service_limits=limits(batch=FIVE_AT_ONCE, fuse=FUSE))
    rig.kafka.max_bytes["affect.events"] = 1
    rig.kafka.produce("posts", numbered(100))
    rig.start()
    assert await rig.end() == 3
    assert rig.committed == len(rig.kafka.values("affect.dlq")) > 0
    assert "20 of the last 20 records have an event that can't be" in str(rig.service.error)
    assert "emostream dlq replay" in str(rig.service.error)


async def test_a_part_of_the_events_that_is_refused_after_a_stall_does_not_blow_it() -> None:
    """All answers come at once, to events that were judged long before the last ones."""
    batch = BatchLimits(max_posts=5, max_wait_s=0.01, max_concurrent_posts=500)
    rig = Rig(service_limits=limits(batch=batch, fuse=FUSE))
    rig.processor.make = lambda record: b"x" * (2_000_000 if record.offset % 4 == 0 else 1)
    rig.kafka.held_topics = {"affect.events", "affect.dlq"}
    rig.kafka.produce("posts", numbered(400))
    async with running(rig):
        await rig.turn(2)
        rig.kafka.held_topics.clear()
        for topic in ("affect.events", "affect.dlq"):
            rig.kafka.acknowledge(topic)
        await rig.turn(4)
        assert rig.service.error is None
        assert rig.committed == 400


async def test_an_analysis_that_says_it_can_not_go_on_ends_the_service_with_status_1() -> None:
    """A dead pool, for one: its posts come again, none is a dead letter."""
    rig = Rig()
    rig.processor.raises = Broken("the pool ended: this is a bug")
    rig.kafka.produce("posts", numbered(8))
    rig.start()
    assert await rig.end() == 1
    assert rig.kafka.values("affect.dlq") == []
    assert rig.committed in {None, 0}


async def test_an_analysis_that_is_cancelled_unasked_ends_the_service_with_status_1() -> None:
    rig = Rig()
    rig.processor.raises = asyncio.CancelledError()
    rig.kafka.produce("posts", numbered(4))
    rig.start()
    assert await rig.end() == 1
    assert rig.committed in {None, 0}


async def test_bugs_of_the_analysis_count_for_the_fuse() -> None:
    rig = Rig(service_limits=limits(fuse=FuseLimits(window=20, share=0.9)))
    rig.kafka.produce("posts", numbered(200, "bug"))
    rig.start()
    assert await rig.end() == 3


async def test_records_that_had_their_outcome_are_not_analysed_again_after_a_bug() -> None:
    rig = Rig()
    whole = rig.processor.process

    async def process(records: Sequence[Record], done: Done, *, turn: int = 0) -> None:
        if len(records) == 4:
            await whole(records[:2], done, turn=turn)
            raise KeyError("a bug after half of the batch")
        await whole(records, done, turn=turn)

    rig.processor.process = process  # type: ignore[method-assign]
    rig.kafka.produce("posts", [b"a", b"b", b"c", b"d"])
    async with running(rig):
        await rig.turn(2)
        assert rig.events() == [b"a", b"b", b"c", b"d"]
        assert set(rig.processor.seen.values()) == {1}


async def test_a_second_outcome_for_one_record_is_not_published() -> None:
    rig = Rig()
    whole = rig.processor.process

    async def process(records: Sequence[Record], done: Done, *, turn: int = 0) -> None:
        await whole(records, done, turn=turn)
        await whole(records, done, turn=turn)

    rig.processor.process = process  # type: ignore[method-assign]
    rig.kafka.produce("posts", [b"a", b"b"])
    async with running(rig):
        await rig.turn(2)
        assert rig.events() == [b"a", b"b"]


async def test_records_left_without_an_outcome_are_a_bug_and_not_lost() -> None:
    rig = Rig()
    whole = rig.processor.process

    async def process(records: Sequence[Record], done: Done, *, turn: int = 0) -> None:
        await whole([one for one in records if one.value != b"forgotten"], done, turn=turn)

    rig.processor.process = process  # type: ignore[method-assign]
    rig.kafka.produce("posts", [b"a", b"forgotten", b"b"])
    async with running(rig):
        await rig.turn(2)
        assert rig.events() == [b"a", b"b"]
        assert rig.seen.dead_letters == [("infer", "Bug")]
        assert rig.committed == 3


@pytest.mark.parametrize("name", ["poller", "committer", "watchdog", "topics", "log-ends"])
async def test_a_background_task_that_is_cancelled_unasked_ends_the_service(name: str) -> None:
    rig = Rig()
    async with running(rig):
        await rig.turn()
        tasks: dict[str, Any] = rig.service._background._tasks
        tasks[name].cancel()
        assert await rig.end(5) == 1
        assert name in str(rig.service.error)


async def test_a_processor_that_can_not_go_on_ends_an_idle_service_with_status_1() -> None:
    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def beside() -> None:
        await broken

    rig = Rig()
    rig.service._beside = beside
    async with running(rig):
        await rig.turn()
        broken.set_exception(Broken("the pool ended"))
        assert await rig.end(5) == 1
        assert "the pool ended" in str(rig.service.error)


async def test_what_a_timer_of_ours_raises_ends_the_service_with_status_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asyncio would log it, and batches would wait without end."""
    rig = Rig()
    rig.start()
    await rig.turn(1)

    def breaks(now: float, *, last: bool) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(rig.service._batcher, "take", breaks)
    asyncio.get_running_loop().call_soon(rig.service._scheduler.pump)
    assert await rig.end() == 1
    assert isinstance(rig.service.error, ZeroDivisionError)
