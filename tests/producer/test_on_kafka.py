"""The producer's promises on a real Apache Kafka."""

import asyncio
import secrets
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from infra.kafka import EmbeddedKafka, TopicSpec, create_topics
from producer import (
    BAD_INPUTS,
    Broker,
    DeadLetterFilter,
    Delivery,
    DlqReplaySettings,
    LoadSettings,
    Progress,
    ReplaySettings,
    list_dead_letters,
    load_records,
    replay_dead_letters,
    replay_file,
    send_load,
    show_dead_letter,
)
from runtime.kafka import producing
from runtime.kafka.errors import TopicMissing
from runtime.kafka.producing import kafka_producer
from runtime.kafka.topic_log import Span, StoredRecord, kafka_topic_log
from schemas import dead_letter_headers
from schemas.headers import REPLAYS
from tests.process import emostream
from tests.producer.conftest import MakeTopic
from tests.producer.fakes import MemoryTopicLog
from tests.schemas.test_headers import LETTER


async def everything(broker: Broker, topic: str) -> list[StoredRecord]:
    async with kafka_topic_log(topic, broker) as log:
        return [record async for record in log.read(await log.spans())]


async def test_a_replayed_file_stands_on_the_topic_whole_and_in_order(
    broker: Broker, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic, path = await make_topic(partitions=1), tmp_path / "posts.jsonl"
    posts = [{"id": f"p{n}", "text": f"text {n}"} for n in range(2_500)]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, posts)))
    report = await replay_file(ReplaySettings(path=str(path), topic=topic), broker)
    assert report.ok
    assert report.acked == 2_500
    stored = await everything(broker, topic)
    assert [msgspec.json.decode(record.value or b"") for record in stored] == posts
    assert [record.key for record in stored] == [f"p{n}".encode() for n in range(2_500)]


async def test_every_kind_of_bad_input_reaches_the_topic_byte_for_byte(
    broker: Broker, make_topic: MakeTopic
) -> None:
    topic = await make_topic()
    settings = LoadSettings(topic=topic, count=120, bad_input=0.8, seed=5)
    report = await send_load(settings, broker)
    assert report.ok
    assert {bad.kind for bad in BAD_INPUTS} <= report.kinds.keys()
    sent = {}
    for record, _ in zip(load_records(settings), range(120), strict=False):
        sent[record.key] = record.value
    assert {r.key: r.value for r in await everything(broker, topic)} == sent


async def test_a_topic_that_is_missing_is_said_with_the_mend(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = producing._start

    async def started(*args: Any) -> None:
        await start(*args)
        # Not before: a busy machine may take long to connect.
        monkeypatch.setattr(producing, "_METADATA_S", 1.0)

    monkeypatch.setattr(producing, "_start", started)
    with pytest.raises(TopicMissing, match=r"nowhere.*emostream topics create"):
        await send_load(LoadSettings(topic="nowhere", count=1), broker)
    with pytest.raises(TopicMissing, match="nowhere"):
        await list_dead_letters(broker, topic="nowhere")


async def write_letters(broker: Broker, topic: str, to: str, count: int) -> None:
    async with kafka_producer(broker) as producer:
        for number in range(count):
            letter = msgspec.structs.replace(
                LETTER,
                key=f"k{number}".encode(),
                topic=to,
                headers=(("own", b"1"), ("null", None)),
                class_name="NotJson" if number % 3 else "EmptyText",
                timestamp_ms=1_700_000_000_000,
            )
            report = await producer.send(
                topic,
                key=letter.key,
                value=letter.value,
                headers=list(dead_letter_headers(letter)),
            )
            await report


async def test_letters_are_listed_shown_and_sent_back_to_where_they_came_from(
    broker: Broker, make_topic: MakeTopic
) -> None:
    posts, dlq = await make_topic(), await make_topic()
    await write_letters(broker, dlq, posts, 9)
    listing = await list_dead_letters(broker, topic=dlq)
    assert listing.by_class == {"NotJson": 6, "EmptyText": 3}
    assert listing.by_topic == {posts: 9}
    one = listing.dead_letters[0]
    shown = await show_dead_letter(broker, one.partition, one.offset, topic=dlq)
    assert shown.dead.headers == (("own", b"1"), ("null", None))

    wanted = DeadLetterFilter(class_names=frozenset({"NotJson"}))
    settings = DlqReplaySettings(topic=dlq, dead_letter_filter=wanted)
    report = await replay_dead_letters(settings, broker)
    assert report.ok
    assert report.replayed == 6
    back = await everything(broker, posts)
    assert len(back) == 6
    assert {record.headers for record in back} == {(("own", b"1"), ("null", None), (REPLAYS, b"1"))}
    assert {record.timestamp_ms for record in back} == {1_700_000_000_000}
    assert {record.value for record in back} == {LETTER.value}


@pytest.mark.parametrize(
    ("config", "older"),
    [
        ({"retention.ms": str(7 * 24 * 3_600_000)}, 4),
        ({"retention.ms": "-1"}, 0),
        ({"retention.ms": "1000", "message.timestamp.type": "LogAppendTime"}, 0),
        ({"retention.ms": "1000", "cleanup.policy": "compact"}, 0),
    ],
)
async def test_letters_older_than_their_topic_keeps_are_told_before_they_are_sent(
    broker: Broker, make_topic: MakeTopic, config: dict[str, str], older: int
) -> None:
    posts, dlq = f"posts-{secrets.token_hex(4)}", await make_topic()
    await create_topics(
        {"bootstrap_servers": broker.bootstrap}, [TopicSpec(posts, 1, 1, config=config)]
    )
    await write_letters(broker, dlq, posts, 4)
    words = ("dlq", "replay", "--bootstrap", broker.bootstrap, "--topic", dlq, "--dry-run")
    async with emostream(*words) as process:
        assert await process.wait() == 0
    first, *more = process.stdout
    assert first == "4 of 4 dead letters would be replayed"
    told = f"4 of them are older than the retention.ms of {posts}: Kafka may delete them "
    assert [line.startswith(told) for line in more] == ([True] if older else [])


async def test_a_group_remembers_what_was_sent_back(broker: Broker, make_topic: MakeTopic) -> None:
    posts, dlq = await make_topic(), await make_topic()
    settings = DlqReplaySettings(topic=dlq, group=f"group-{dlq}")
    await write_letters(broker, dlq, posts, 5)
    assert (await replay_dead_letters(settings, broker)).replayed == 5
    assert (await replay_dead_letters(settings, broker)).replayed == 0
    await write_letters(broker, dlq, posts, 2)
    assert (await replay_dead_letters(settings, broker)).replayed == 2


async def test_ctrl_c_ends_a_replay_in_order_and_its_group_remembers_what_was_sent(
    broker: Broker, make_topic: MakeTopic
) -> None:
    posts, dlq = await make_topic(), await make_topic(partitions=1)
    await write_letters(broker, dlq, posts, 3)
    words = ("--topic", dlq, "--group", f"group-{dlq}", "--bootstrap", broker.bootstrap)
    async with (
        kafka_topic_log(posts, broker) as log,
        emostream("dlq", "replay", "--rate", "0.001", *words) as process,
    ):
        back = log.in_order(await log.spans(), follow=True)
        assert (await anext(back)).value == LETTER.value
        await back.aclose()
        process.signal(signal.SIGINT)
        assert await process.wait() == 130
    assert process.stdout == ["1 of 1 dead letters replayed"]
    assert process.stderr == []
    again = DlqReplaySettings(topic=dlq, group=f"group-{dlq}", dry_run=True)
    assert (await replay_dead_letters(again, broker)).matched == 2


async def test_letters_written_in_a_transaction_are_read_to_the_end(
    broker: Broker, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=1)
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=f"tx-{topic}")
    await producer.start()
    try:
        for ending in (producer.commit_transaction, producer.abort_transaction):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"v", headers=list(dead_letter_headers(LETTER)))
            await ending()
    finally:
        await producer.stop()
    listing = await list_dead_letters(broker, topic=topic)
    assert listing.matched == 1


async def test_reading_by_time_starts_at_the_first_letter_since(
    broker: Broker, make_topic: MakeTopic
) -> None:
    topic = await make_topic(partitions=2)
    await write_letters(broker, topic, "posts", 3)
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    assert (await list_dead_letters(broker, topic=topic)).matched == 3
    for since, matched in ((now - hour, 3), (now + hour, 0)):
        found = await list_dead_letters(
            broker, topic=topic, dead_letter_filter=DeadLetterFilter(since=since)
        )
        assert found.matched == matched


@pytest.mark.parametrize("on", ["fake", "kafka"])
async def test_a_topic_log_reads_only_the_spans_it_is_given(
    on: str, broker: Broker, make_topic: MakeTopic
) -> None:
    """The contract of `TopicLog`, on the fake and on the real thing."""
    topic = await make_topic(partitions=1)
    await write_letters(broker, topic, "posts", 6)
    stored = await everything(broker, topic)
    async with kafka_topic_log(topic, broker, group=f"log-{topic}") as real:
        log = real if on == "kafka" else MemoryTopicLog(stored)
        assert await log.spans() == {0: Span(0, 6)}
        assert [r.offset async for r in log.read({0: Span(2, 4)})] == [2, 3]
        assert [r.offset async for r in log.read({0: Span(4, 4)})] == []
        assert [r async for r in log.read({0: Span(0, 6)})] == stored
        await log.commit({0: 5})
        await log.commit({})
        assert await log.spans() == {0: Span(5, 6)}


async def test_a_broker_that_dies_ends_the_run_as_a_failure_in_bounded_time(tmp_path: Path) -> None:
    async with EmbeddedKafka() as mortal:
        client = {"bootstrap_servers": mortal.bootstrap}
        await create_topics(client, [TopicSpec("posts", 1, 1)])
        dying: list[asyncio.Task[None]] = []

        def kill_once(progress: Progress) -> None:
            if progress.acked and not dying:
                dying.append(asyncio.create_task(mortal.kill()))

        settings = LoadSettings(rate=500, duration_s=60, delivery=Delivery(timeout_s=5))
        async with asyncio.timeout(30):
            report = await send_load(
                settings, Broker(bootstrap=mortal.bootstrap), observer=kill_once
            )
        await dying[0]
    assert not report.ok
    assert report.failure
    assert report.acked > 0
    assert report.acked + report.failed == report.sent
