"""The log says each minute how it goes, and warns at the first dead letter of a class."""

import asyncio

import msgspec
from structlog.testing import capture_logs

from consumer.telemetry.progress import Progress
from consumer.telemetry.state import PartitionState, Snapshot
from tests.runtime.fake_clock import FakeClock, settle


def partition(number: int, position: int | None) -> PartitionState:
    return PartitionState(
        topic="posts", partition=number, commit_position=position, high_water=100, in_flight=0
    )


SNAPSHOT = Snapshot(
    phase="running",
    partitions=(partition(0, 90), partition(1, 70), partition(2, None)),
    available=True,
    joined=True,
    paused=None,
    in_flight_records=0,
    in_flight_bytes=0,
    batches=0,
    oldest_in_flight_s=0,
    since_loop_s=0,
    since_finish_s=0,
    since_available_s=0,
    consumed=0,
    published=0,
    dead_letters=0,
    committed=0,
)


async def test_each_minute_it_says_posts_a_second_lag_and_dead_letters_by_class() -> None:
    clock, progress, state = FakeClock(), Progress(), [SNAPSHOT]
    with capture_logs() as logs:
        task = asyncio.ensure_future(progress.report(lambda: state[0], clock))
        await settle()
        for class_name in ("NotJson", "NotJson", "EmptyText"):
            progress.dead_letter("decode", class_name)
        state[0] = msgspec.structs.replace(SNAPSHOT, consumed=600)
        for _ in range(120):
            await clock.advance(1)
        task.cancel()
    first, second = (log for log in logs if log["event"] == "progress")
    assert (first["posts_per_s"], first["lag"], first["partitions"]) == (10.0, 40, 3)
    assert first["dead_letters"] == {"NotJson": 2, "EmptyText": 1}
    assert (second["posts_per_s"], second["dead_letters"]) == (0.0, {})


def test_only_the_first_dead_letter_of_a_class_is_news() -> None:
    progress = Progress()
    with capture_logs() as logs:
        for class_name in ("NotJson", "NotJson", "EmptyText", "NotJson"):
            progress.dead_letter("decode", class_name)
    assert [(log["log_level"], log["class"]) for log in logs] == [
        ("warning", "NotJson"),
        ("warning", "EmptyText"),
    ]


async def test_a_model_that_is_waited_for_is_logged_each_minute_with_since_and_the_keys() -> None:
    clock, progress = FakeClock(), Progress(["http://tgi:80"], wait_s=600)
    lost = msgspec.structs.replace(SNAPSHOT, phase="waiting", available=False)
    with capture_logs() as logs:
        task = asyncio.ensure_future(progress.report(lambda: lost, clock))
        await settle()
        for _ in range(125):
            await clock.advance(1)
        task.cancel()
    logged = [log for log in logs if log["event"] == "waiting_for_model"]
    assert len(logged) == 3
    assert len({log["since"] for log in logged}) == 1
    assert logged[0]["servers"] == ("http://tgi:80",)
    assert "model.servers" in logged[0]["advice"]
    assert logged[0]["gives_up"] == "after 600 s (model.wait_s)"


async def test_a_model_that_comes_and_goes_is_logged_once_a_minute_at_most() -> None:
    clock, progress, state = FakeClock(), Progress(), [SNAPSHOT]
    with capture_logs() as logs:
        task = asyncio.ensure_future(progress.report(lambda: state[0], clock))
        await settle()
        for second in range(59):
            state[0] = msgspec.structs.replace(SNAPSHOT, available=second % 2 == 0)
            await clock.advance(1)
        task.cancel()
    assert len([log for log in logs if log["event"] == "waiting_for_model"]) == 1
