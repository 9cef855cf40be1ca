"""Waiting for Kafka is said at once, then seldom, with since when and what to change."""

from collections.abc import Iterable

import pytest
from structlog.testing import capture_logs

from runtime.kafka.errors import Unreachable
from runtime.kafka.protocol import TopicFacts
from tests.consumer.delivery.rig import Rig, running
from tests.runtime.kafka.fake_kafka import FakeConsumer


async def test_at_start_it_is_said_each_ten_seconds_and_for_a_minute() -> None:
    rig = Rig()
    rig.kafka.start_faults = [Unreachable("nothing listens: correct kafka.bootstrap")] * 1_000
    with capture_logs() as logs:
        rig.start()
        assert await rig.end() == 1
    said = [log for log in logs if log["event"] == "kafka_unreachable"]
    assert 6 <= len(said) <= 7
    assert len({log["since"] for log in said}) == 1
    assert said[0]["gives_up_in_s"] == 60
    assert all("kafka.bootstrap" in log["reason"] for log in said)


async def test_later_it_is_said_once_a_minute_and_that_they_answer_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = False
    facts = FakeConsumer.topic_facts

    async def topic_facts(
        self: FakeConsumer, topics: Iterable[str], *, timeout_s: float
    ) -> dict[str, TopicFacts]:
        if gone:
            raise Unreachable("no broker answers")
        return await facts(self, topics, timeout_s=timeout_s)

    monkeypatch.setattr(FakeConsumer, "topic_facts", topic_facts)
    rig = Rig()
    async with running(rig):
        await rig.turn(30)
        with capture_logs() as logs:
            gone = True
            await rig.turn(200)
            gone = False
            await rig.turn(60)
    said = [log for log in logs if log["event"] == "kafka_unreachable"]
    assert 3 <= len(said) <= 4
    assert len({log["since"] for log in said}) == 1
    assert len([log for log in logs if log["event"] == "kafka_reachable"]) == 1
