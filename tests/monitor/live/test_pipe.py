"""What is looked at every few seconds beside the events."""

import asyncio
from pathlib import Path
from typing import cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from structlog.testing import capture_logs

from monitor.live import pipe
from monitor.live.board import Board
from monitor.live.intake import Intake
from monitor.live.pipe import PipeWatch
from monitor.live.telling import Telling
from monitor.settings import Settings
from monitor.telemetry import metrics as m
from monitor.telemetry.health import AWAY_S, Health
from runtime.kafka.connection import Broker
from runtime.kafka.errors import Unreachable
from runtime.kafka.producing import kafka_producer
from runtime.kafka.topic_log import KafkaTopicLog, Span
from runtime.telemetry.metric import Counts
from tests.monitor.live.rig import TermRig
from tests.monitor.live.stage import make_stage
from tests.runtime.fake_clock import FakeClock


class Log:
    """The events' topic: two partitions, of which retention has taken the first records."""

    def __init__(self) -> None:
        self.number, self.start, self.away = 2, 0, False

    async def held(self) -> dict[int, Span]:
        return dict.fromkeys(range(2), Span(self.start, 100))

    async def partitions(self) -> int:
        if self.away:
            raise Unreachable("away")
        return self.number


class Looking(PipeWatch):
    """The brokers' answers about others' topics come from the test."""

    lag: int | None = 0

    async def _consumer_lag(self) -> int | None:
        return self.lag

    async def _dead_letters(self) -> int:
        return 3


class Stage:
    def __init__(self) -> None:
        self.clock, self.log = FakeClock(), Log()
        self.rig = TermRig(Settings(), self.clock.wall())
        self.counts: Counts = self.rig.counts
        self.health = Health(stuck_after_s=60, monotonic=self.clock.monotonic)
        self.health.enter("active")
        self.pipe = Looking(
            Settings(),
            Broker(bootstrap="127.0.0.1:1", security={}),
            board=self.rig.board,
            counts=self.counts,
            clock=self.clock,
            telling=cast("Telling", Nobody()),
            intake=cast("Intake", self.rig.intake),
            gauges=self.rig.gauges,
            health=self.health,
            log=cast("KafkaTopicLog", self.log),
        )
        self.running: asyncio.Task[None] | None = None

    async def pass_time(self, seconds: float) -> None:
        if self.running is None:
            self.running = asyncio.create_task(self.pipe.run(self.rig.term))
        await self.clock.advance(seconds)

    async def end(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)


class Nobody:
    """No receivers."""

    undelivered = 0
    problems: tuple[str, ...] = ()


async def test_the_consumer_is_quiet_from_when_it_was_seen_without_lag() -> None:
    stage = Stage()
    await stage.pass_time(0)
    since = stage.pipe.quiet_since()
    assert since == stage.clock.monotonic()
    await stage.pass_time(60)
    assert stage.pipe.quiet_since() == since
    for lag in (7, None):  # None: it can't be asked
        stage.pipe.lag = lag
        await stage.pass_time(15)
        assert stage.pipe.quiet_since() is None
    stage.pipe.lag = 0
    await stage.pass_time(15)
    assert stage.pipe.quiet_since() is not None
    assert stage.rig.board.pipe().dead_letters == 3
    await stage.end()


async def test_gauges_are_set_every_round_and_not_only_when_windows_close() -> None:
    stage = Stage()
    await stage.pass_time(0)
    stage.counts.put(m.TRACKS, value=99)
    await stage.pass_time(5)
    assert stage.counts.value(m.TRACKS) == 0
    await stage.end()


@pytest.fixture(autouse=True)
def nobody_is_asked_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: Broker, error: Exception) -> Exception:
        return error

    monkeypatch.setattr(pipe, "unreachable", away)


async def test_it_ends_when_the_topic_has_grown_and_not_when_it_cannot_be_asked() -> None:
    stage = Stage()
    stage.log.away = True
    await stage.pass_time(60)
    assert stage.running is not None
    assert not stage.running.done()
    stage.log.away, stage.log.number = False, 3
    await stage.pass_time(5)
    assert stage.running.done()


async def test_what_retention_takes_unread_is_counted_once_and_logged() -> None:
    stage = Stage()
    stage.rig.intake.at = {0: 40, 1: 10}
    with capture_logs() as logs:
        await stage.pass_time(0)
        stage.log.start = 30
        await stage.pass_time(180)
    assert stage.counts.value(m.LOST) == 20
    gone = [one for one in logs if one["event"] == "committed_offsets_gone"]
    assert [(one["partition"], one["events"]) for one in gone] == [(1, 20)]
    await stage.end()


async def test_brokers_that_are_away_are_said_once_and_then_it_is_not_ready() -> None:
    stage = Stage()
    with capture_logs() as logs:
        await stage.pass_time(0)
        stage.log.away = True
        await stage.pass_time(AWAY_S - 5)
        assert stage.health.not_ready() == []  # as long as a new leader may take
        await stage.pass_time(10)
        assert stage.health.not_ready() == ["Kafka hasn't answered for 30 s"]
        assert stage.health.not_alive() == []  # a restart would change nothing
        stage.log.away = False
        await stage.pass_time(5)
    assert stage.health.not_ready() == []
    assert [one["event"] for one in logs] == ["kafka_unreachable", "kafka_reachable"]
    await stage.end()


async def test_each_minute_a_line_says_how_it_goes() -> None:
    stage = Stage()
    with capture_logs() as logs:
        await stage.pass_time(0)
        stage.rig.term.events = 40
        await stage.pass_time(60)
        stage.rig.term.events = 42
        await stage.pass_time(60)
    lines = [one for one in logs if one["event"] == "monitor_progress"]
    assert [(one["events"], one["lag"], one["open_alerts"]) for one in lines] == [
        (40, 0, 0),
        (2, 0, 0),
    ]
    await stage.end()


@pytest.mark.parametrize("by_pattern", [False, True])
async def test_the_consumers_lag_is_what_its_group_has_not_settled(
    bootstrap: str, tmp_path: Path, *, by_pattern: bool
) -> None:
    stage = await make_stage(bootstrap, tmp_path)
    posts, group = stage.names.posts, stage.settings.input.group_id
    async with kafka_producer(stage.broker) as producer:
        for number in range(10):
            await (await producer.send(posts, key=b"%d" % number, value=b"{}"))
    values = stage.settings.model_dump()
    if by_pattern:
        values["input"] |= {"topics": (), "pattern": posts.replace(".", r"\.")}
    watch = PipeWatch(
        Settings.model_validate(values),
        stage.broker,
        board=cast("Board", None),
        counts=Counts(m.ALL),
        clock=FakeClock(),
        telling=cast("Telling", None),
        intake=cast("Intake", None),
        gauges=TermRig(Settings(), 0.0).gauges,
        health=Health(stuck_after_s=60, monotonic=FakeClock().monotonic),
        log=cast("KafkaTopicLog", None),
    )
    assert await watch._consumer_lag() == 10
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group)
    await consumer.start()
    try:
        parts = [TopicPartition(posts, number) for number in range(4)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.commit(ends)
    finally:
        await consumer.stop()
    assert await watch._consumer_lag() == 0
