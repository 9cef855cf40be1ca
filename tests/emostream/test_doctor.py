"""`emostream doctor` looks at rights, at data and at questions, and says what to change."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.model.answers import right_answer
from consumer.records import Record
from consumer.settings import Settings
from emostream.diagnosis import diagnose
from emostream.findings import Finding
from emostream.recent_records import RECENT, describe, healthy, recent_records, sample
from infra.kafka import TopicNames, create_topics, default_topics
from producer import Broker, LoadSettings, send_load
from tests.runtime.kafka.guarded import Guarded
from tests.tgi import FakeTgi, varied


def record(value: Any, *, offset: int = 0) -> Record:
    return Record(
        topic="posts",
        partition=0,
        offset=offset,
        epoch=0,
        timestamp_ms=1_700_000_000_000,
        received_at=1_700_000_000.0,
        key=None,
        value=value if isinstance(value, bytes) else json.dumps(value).encode(),
    )


def told(values: list[Any], **sections: object) -> tuple[bool, str]:
    settings = Settings.model_validate(sections)
    found = sample(map(record, values), settings)
    return healthy(found), describe(found, settings)


def test_no_text_where_it_is_mapped_names_the_place_and_the_keys_that_are_there() -> None:
    toot = {"id": "1", "status": {"uri": "x", "content": "Secret words", "account": {}}}
    fine, said = told([toot] * 20, input={"fields": {"text": "status.text"}})
    assert not fine
    assert said.startswith("0 of 20 recent records are posts")
    assert "no text at status.text" in said
    assert "The keys there are uri, content, account" in said
    assert "[input.fields]" in said
    assert "Secret" not in said


def test_posts_are_counted_with_their_languages_and_missing_authors() -> None:
    posts = [{"id": "1", "text": "a", "lang": "en", "author": "ann"}, {"id": "2", "text": "b"}]
    fine, said = told(posts)
    assert fine
    assert "2 of 2 recent records are posts" in said
    assert "Languages: en 1, none 1" in said
    assert "1 of 2 name no author" in said
    assert "the monitor can't bound what one author counts for, only identical texts" in said
    assert "without texts, too" in told(posts, output={"include_text": False})[1]
    assert "ann" not in said


def test_authors_that_will_not_be_in_the_events_are_mentioned_with_the_key() -> None:
    post = {"id": "1", "text": "a", "author": "ann"}
    assert "without output.author_key" in told([post])[1]
    assert "author" not in told([post], output={"author_key": "k" * 16})[1]


def test_what_a_rule_skips_is_no_fault() -> None:
    likes = [{"kind": "commit", "commit": {"collection": "app.bsky.feed.like"}}] * 20
    fine, said = told(likes, input={"preset": "bluesky"})
    assert fine
    assert "All were skipped (not_a_post 20)" in said


@pytest.mark.parametrize(
    ("value", "said"),
    [(b"\x1f\x8b\x08\0", "gzip"), (b"[1]", "expected an object"), (b"{", "NotJson")],
)
def test_what_can_not_be_read_is_told_in_the_dead_letters_words(value: bytes, said: str) -> None:
    fine, words = told([value])
    assert not fine
    assert said in words


def test_hostile_keys_are_shown_and_not_obeyed() -> None:
    _, said = told([{"\x1b[2J": 1, **{f"k{n}": 1 for n in range(20)}}])
    assert "\x1b" not in said
    assert r"\x1b[2J" in said
    assert "k15" not in said
    assert "…" in said


def test_blank_posts_are_no_affair_of_the_mapping() -> None:
    _, said = told([{"id": "1", "text": " "}] * 3)
    assert "EmptyText" in said
    assert "[input.fields]" not in said


@pytest.fixture
async def names(bootstrap: str) -> TopicNames:
    mark = uuid.uuid4().hex[:8]
    names = TopicNames(*(f"{mark}.{part}" for part in ("posts", "events", "dlq", "windows", "al")))
    await create_topics({"bootstrap_servers": bootstrap}, default_topics(names))
    return names


@pytest.fixture
async def tgi() -> AsyncIterator[FakeTgi]:
    async with FakeTgi() as found:
        yield found


def configured(bootstrap: str, names: TopicNames, url: str, **more: Any) -> Settings:
    return Settings.model_validate(
        {
            "kafka": {"bootstrap": bootstrap, **more.pop("kafka", {})},
            "input": {"topics": [names.posts], "group_id": names.posts},
            "output": {"events_topic": names.events, "dlq_topic": names.dead_letters},
            "model": {"servers": [url], "timeout_s": 5},
            **more,
        }
    )


async def findings(settings: Settings) -> dict[str, Finding]:
    return {one.part: one async for one in diagnose(settings)}


async def test_all_is_well_and_the_newest_records_are_looked_at(
    bootstrap: str, names: TopicNames, tgi: FakeTgi
) -> None:
    load = LoadSettings(topic=names.posts, count=300)
    assert (await send_load(load, Broker(bootstrap=bootstrap))).ok
    found = await findings(configured(bootstrap, names, tgi.url))
    assert {one.state for one in found.values()} == {"ok"}, found
    assert f"{RECENT} of {RECENT} recent records are posts" in found["data"].message
    records = await recent_records(Broker(bootstrap=bootstrap), [names.posts])
    assert len(records) == RECENT


@pytest.mark.parametrize("knows", [True, False])
async def test_a_second_model_is_looked_at_and_told_where_it_does_not_know_the_posts(
    bootstrap: str, names: TopicNames, tgi: FakeTgi, knows: bool
) -> None:
    load = LoadSettings(topic=names.posts, count=60)
    await send_load(load, Broker(bootstrap=bootstrap))
    tgi.answer = varied

    def says_otherwise(prompt: str) -> str:
        return varied(prompt) if right_answer(prompt) else varied(f"{prompt} And then.")

    async with FakeTgi(varied if knows else says_otherwise) as small:
        model = {"servers": [tgi.url], "second": {"servers": [small.url]}}
        found = await findings(configured(bootstrap, names, tgi.url, model=model))
    assert found[f"second server {small.url}"].state == "ok"
    assert found["second canary"].state == "ok"
    assert found["agreement"].state == ("ok" if knows else "bad")
    assert ("model.second.weight" in found["agreement"].message) is not knows


async def test_a_dead_server_of_the_second_keeps_the_models_from_no_comparison(
    bootstrap: str, names: TopicNames, tgi: FakeTgi
) -> None:
    await send_load(LoadSettings(topic=names.posts, count=60), Broker(bootstrap=bootstrap))
    tgi.answer = varied
    async with FakeTgi(varied) as small:
        second = {"servers": ["http://127.0.0.1:1", small.url]}
        model = {"servers": [tgi.url], "second": second}
        found = await findings(configured(bootstrap, names, tgi.url, model=model))
    assert found["second server http://127.0.0.1:1"].state == "bad"
    assert found["agreement"].state == "ok"


async def test_a_second_model_that_is_not_there_is_told_and_not_compared(
    bootstrap: str, names: TopicNames, tgi: FakeTgi
) -> None:
    model = {"servers": [tgi.url], "second": {"servers": ["http://127.0.0.1:1"]}}
    found = await findings(configured(bootstrap, names, tgi.url, model=model))
    assert found["second server http://127.0.0.1:1"].state == "bad"
    assert found["agreement"].state == "skipped"
    assert found["canary"].state == "ok"


async def test_an_empty_topic_is_no_fault(bootstrap: str, names: TopicNames, tgi: FakeTgi) -> None:
    found = await findings(configured(bootstrap, names, tgi.url))
    assert found["data"].state == "skipped"


async def test_each_custom_task_is_asked_once_and_told_where_the_model_can_not(
    bootstrap: str, names: TopicNames, tgi: FakeTgi
) -> None:
    ordinary = tgi.answer
    tgi.answer = lambda prompt: (
        "sarcastic"
        if "sarcastic" in prompt
        else "Sure! Happy to help."
        if "polite" in prompt
        else ordinary(prompt)
    )
    tasks = {
        "custom": [
            {"name": name, "wordings": [f"Say whether it is {what}."], "choices": [what, "not"]}
            for name, what in (("sarcasm", "sarcastic"), ("manners", "polite"))
        ]
    }
    found = await findings(configured(bootstrap, names, tgi.url, tasks=tasks))
    assert found["task sarcasm"].state == "ok"
    assert found["task manners"].state == "bad"
    assert "this model can't answer it" in found["task manners"].message
    assert "Sure! Happy to help." in found["task manners"].message


async def test_with_exactly_once_it_is_told_that_transactions_are_possible(
    bootstrap: str, names: TopicNames, tgi: FakeTgi
) -> None:
    delivery = {"guarantee": "exactly-once", "transactional_id_prefix": "shop"}
    found = await findings(configured(bootstrap, names, tgi.url, delivery=delivery))
    assert found["transactions"].state == "ok"
    assert "begin with shop/" in found["transactions"].message
    delivery["transaction_timeout_s"] = "4000"
    found = await findings(configured(bootstrap, names, tgi.url, delivery=delivery))
    assert found["transactions"].state == "bad"
    assert "transaction.max.timeout.ms: lower it" in found["transactions"].message


async def test_missing_rights_are_listed_and_the_rest_is_still_looked_at(
    guarded: Guarded, tgi: FakeTgi, tmp_path: Any
) -> None:
    mark = uuid.uuid4().hex[:8]
    names = TopicNames(*(f"{mark}.{part}" for part in ("posts", "events", "dlq", "windows", "al")))
    admin = AIOKafkaAdminClient(bootstrap_servers=guarded.plain)
    await admin.start()
    ours = (names.posts, names.events, names.dead_letters)
    await admin.create_topics([NewTopic(name, 1, 1) for name in ours])
    await admin.close()
    await guarded.grant("bob", [("DESCRIBE", "topic", name) for name in ours])
    await guarded.grant("bob", [("READ", "topic", names.posts), ("WRITE", "topic", names.events)])
    sasl = {
        "mechanism": "PLAIN",
        "username": "bob",
        "password": "sekrit",
        "allow_plaintext": True,
    }
    found = await findings(configured(guarded.sasl, names, tgi.url, kafka={"sasl": sasl}))
    assert found["rights"].state == "bad"
    assert f"WRITE on topic {names.dead_letters}" in found["rights"].message
    assert f"READ on group {names.posts}" in found["rights"].message
    assert f"READ on topic {names.posts}" not in found["rights"].message
    assert found["canary"].state == "ok"


async def test_a_way_in_that_is_wrong_is_told_in_one_sentence(
    guarded: Guarded, names: TopicNames, tgi: FakeTgi, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A broker's first TLS handshake took 0.66 s at a load of 20. One that takes longer than a step
    # is told as "doesn't speak Kafka".
    monkeypatch.setattr("runtime.kafka.diagnosis._STEP_S", 30.0)
    found = await findings(configured(guarded.tls, names, tgi.url))
    assert found["broker"].state == "bad"
    assert "kafka.tls.enabled is false" in found["broker"].message
    assert found["topics"].state == "skipped"
