"""The table of bad input through the whole consumer, on real Kafka and a model server's socket."""

import random
import time
from typing import NamedTuple

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from consumer.app import run
from consumer.options import Until
from consumer.settings import Settings
from infra.kafka import TopicNames, create_topics, default_topics
from producer import BAD_INPUTS
from producer.dead_letter_replay import replayed_record
from producer.dead_letters import stored_dead_letter
from runtime.kafka.aiokafka_brokers import AiokafkaProducer
from runtime.kafka.options import KafkaOptions
from runtime.kafka.topic_log import StoredRecord
from schemas import AFFECT_EVENT, AffectEvent, dead_letter_headers
from tests.tgi import FakeTgi, varied
from tests.topics import stored_records, topic_names

OF_EACH = 2
NO_KEY = b""
TRACE = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
HOUR_AGO_MS = int(time.time() - 3_600) * 1_000
"""Every record's own time: not when it is written, nor when it is read."""


class Sent(NamedTuple):
    value: bytes | None
    dead_letter: str | None


@pytest.fixture
async def names(bootstrap: str) -> TopicNames:
    names = topic_names()
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(names, partitions=2))
    return names


async def test_each_bad_input_ends_as_the_table_says_and_nothing_else_with_it(
    bootstrap: str, names: TopicNames
) -> None:
    sent = await _send_the_table(bootstrap, names.posts)
    async with FakeTgi(varied) as tgi:
        status = await run(
            _settings(bootstrap, names, tgi.url),
            until=Until(max_records=len(sent) + 1),
            signals=False,
        )
    assert status == 0
    events = await stored_records(names.events, bootstrap)
    dead_letters = await stored_records(names.dead_letters, bootstrap)

    ended: dict[bytes, str | None] = {event.key or NO_KEY: None for event in events}
    ended |= {
        dead_letter.key or NO_KEY: stored_dead_letter(dead_letter).dead.class_name
        for dead_letter in dead_letters
    }
    due = {key: one for key, one in sent.items() if one.value is not None}
    assert ended == {key: one.dead_letter for key, one in due.items()}
    assert len(events) + len(dead_letters) == len(due)
    for event in events:
        _is_a_cloud_event(event)
    for dead_letter in dead_letters:
        _is_the_record_whole(dead_letter, sent[dead_letter.key or NO_KEY].value)


async def _send_the_table(bootstrap: str, topic: str) -> dict[bytes, Sent]:
    """Send it, and a record without key and value; by key what each of the others is due."""
    rng = random.Random(0)
    sent: dict[bytes, Sent] = {}
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=16 * 1024 * 1024)
    await producer.start()
    for bad in BAD_INPUTS:
        for number in range(OF_EACH):
            name = f"{bad.kind}-{number}"
            sent[name.encode()] = Sent(bad.value(name, rng), bad.dead_letter)
            await producer.send_and_wait(
                topic,
                sent[name.encode()].value,
                name.encode(),
                timestamp_ms=HOUR_AGO_MS,
                headers=[("own", name.encode()), *TRACE],
            )
    await producer.stop()
    nothing = AiokafkaProducer(KafkaOptions(bootstrap=bootstrap, group_id="none"))
    await nothing.start()
    await (await nothing.send(topic, key=None, value=None, headers=TRACE))
    await nothing.stop(timeout_s=5)
    return sent


def _settings(bootstrap: str, names: TopicNames, model_server: str) -> Settings:
    return Settings.model_validate(
        {
            "kafka": {"bootstrap": bootstrap},
            "input": {"topics": [names.posts], "group_id": names.posts},
            "output": {"events_topic": names.events, "dlq_topic": names.dead_letters},
            "model": {"servers": [model_server]},
            "http": {"port": 0},
        }
    )


def _is_a_cloud_event(record: StoredRecord) -> None:
    event = msgspec.json.decode(record.value or b"", type=AffectEvent)
    headers = dict(record.headers)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == AFFECT_EVENT.type.encode()
    assert headers["ce_id"] == event.id.encode()
    assert headers["ce_subject"] == event.post_id.encode()
    assert headers["ce_source"]
    assert headers["content-type"] == b"application/json"
    assert headers["traceparent"] == TRACE[0][1]
    assert "own" not in headers
    own_time = (record.key or b"").startswith(b"lenient_types")  # its post has one, in seconds
    assert event.created_at.timestamp() * 1_000 == (1.7e12 if own_time else HOUR_AGO_MS)


def _is_the_record_whole(record: StoredRecord, value: bytes | None) -> None:
    dead_letter = stored_dead_letter(record)
    assert record.value == value
    assert TRACE[0] in dead_letter.dead.headers
    assert tuple(record.headers) == dead_letter_headers(dead_letter.dead)
    if record.key is not None:
        assert ("own", record.key) in dead_letter.dead.headers
        # A replay gives the post its own time back.
        assert replayed_record(dead_letter, "posts").timestamp_ms == HOUR_AGO_MS
