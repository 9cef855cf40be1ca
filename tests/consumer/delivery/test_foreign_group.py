"""A group that another program uses: one sentence and exit 2, instead of trying without end."""

import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from structlog.testing import capture_logs

from consumer.app import run
from consumer.delivery.checks import check_topics, not_taken
from consumer.settings import Settings
from infra.kafka import TopicNames, create_topics, default_topics
from runtime.errors import Misconfigured
from runtime.kafka.errors import GroupRefused
from runtime.kafka.options import KafkaOptions
from tests.tgi import FakeTgi

OPTIONS = KafkaOptions(bootstrap="kafka:9092", group_id="g", input_topics=("mastodon.publik",))


async def test_another_assignor_ends_it_with_the_key_to_change(
    bootstrap: str, tmp_path: Path
) -> None:
    mark = uuid.uuid4().hex[:8]
    names = TopicNames(*(f"{mark}.{part}" for part in ("posts", "events", "dlq", "windows", "al")))
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(names))
    other = AIOKafkaConsumer(
        names.posts,
        bootstrap_servers=bootstrap,
        group_id=mark,
        partition_assignment_strategy=(RangePartitionAssignor,),
    )
    await other.start()
    try:
        async with FakeTgi() as tgi:
            settings = Settings.model_validate(
                {
                    "kafka": {"bootstrap": bootstrap},
                    "input": {"topics": [names.posts], "group_id": mark},
                    "output": {"events_topic": names.events, "dlq_topic": names.dead_letters},
                    "model": {"servers": [tgi.url]},
                    "http": {"port": 0},
                }
            )
            with capture_logs() as logs:
                status = await run(settings, signals=False)
    finally:
        await other.stop()
    assert status == 2
    (last,) = (log for log in logs if log["event"] == "failed")
    assert f"the group {mark} is another program's" in last["reason"]
    assert "input.group_id" in last["reason"]
    assert not [log for log in logs if log["event"] == "fetch_failed"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("InvalidSessionTimeoutError", "kafka.session_timeout_s = 10"),
        ("InvalidGroupIdError", "give input.group_id another name"),
    ],
)
def test_what_else_a_group_refuses_names_its_key(error: str, said: str) -> None:
    assert said in not_taken(OPTIONS, GroupRefused(error))


def test_a_misspelt_topic_is_answered_with_the_one_that_is_there() -> None:
    with pytest.raises(Misconfigured) as refused:
        check_topics(OPTIONS, ["affect.events", "affect.dql", "mastodon.public"])
    said = str(refused.value)
    assert "mastodon.publik (did you mean mastodon.public?)" in said
    assert "affect.dlq (did you mean affect.dql?)" in said
    assert "affect.events" not in said
    assert "emostream topics create" in said
