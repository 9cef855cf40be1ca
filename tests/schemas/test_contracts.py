"""The generated documents are current, true of what is written, and kept for old readers."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from schemas import AffectEvent, Post, Sentiment
from schemas.generate import (
    affect_event_schema,
    documents,
    main,
    outdated,
    post_schema,
    write,
)
from tests.schemas.examples import (
    BARE_EVENT,
    FULL_EVENT,
    NEUTRAL_EVENT,
    TWO_MODELS_EVENT,
    events,
    posts,
)
from tests.schemas.v1.reader import AffectEventV1

V1_SCHEMA: dict[str, Any] = json.loads(
    Path(__file__).parent.joinpath("v1/affect_event.schema.json").read_text(encoding="utf-8")
)
EVENT = Draft202012Validator(affect_event_schema())
EVENT_V1 = Draft202012Validator(V1_SCHEMA)
POST = Draft202012Validator(post_schema())
EXAMPLES = [FULL_EVENT, BARE_EVENT, NEUTRAL_EVENT, TWO_MODELS_EVENT]


def written(message: msgspec.Struct) -> Any:
    return json.loads(msgspec.json.encode(message))


def test_the_documents_in_the_repository_are_current() -> None:
    assert outdated() == [], "run: python -m schemas.generate"


def test_a_document_that_differs_is_found_and_written_again(tmp_path: Path) -> None:
    assert len(write(tmp_path)) == len(documents())
    assert write(tmp_path) == []
    spoiled = tmp_path / "json/post.v1.schema.json"
    spoiled.write_text("{}", encoding="utf-8")
    assert outdated(tmp_path) == [spoiled]
    assert write(tmp_path) == [spoiled]
    assert outdated(tmp_path) == []


def test_check_says_with_its_exit_status_whether_all_is_current(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["generate", "--check"])
    assert main() == 0


@pytest.mark.parametrize("name", [name for name in documents() if name.startswith("json/")])
def test_every_schema_is_valid_by_its_dialect(name: str) -> None:
    schema = json.loads(documents()[name])
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith("urn:emostream:schema:")
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("event", EXAMPLES)
def test_an_event_as_written_satisfies_its_schema(event: AffectEvent) -> None:
    EVENT.validate(written(event))


@given(event=events)
def test_any_event_satisfies_its_schema_and_reads_back(event: AffectEvent) -> None:
    EVENT.validate(written(event))
    assert msgspec.json.decode(msgspec.json.encode(event), type=AffectEvent) == event


@given(post=posts)
def test_any_post_satisfies_its_schema_and_reads_back(post: Post) -> None:
    POST.validate(written(post))
    assert msgspec.json.decode(msgspec.json.encode(post), type=Post) == post


def test_what_was_not_asked_is_absent_and_what_was_found_empty_is_there() -> None:
    assert set(written(BARE_EVENT)) == {
        "version",
        "id",
        "post_id",
        "created_at",
        "model",
        "processed_at",
    }
    neutral = written(NEUTRAL_EVENT)
    assert neutral["emotions"] == []
    assert neutral["intensity"] == {}
    assert neutral["sentiment"] == {"class": 0}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sentiment", {"valence": 1.01}),
        ("sentiment", {"class": -4}),
        ("sentiment", {"class": 1.5}),
        ("emotions", ["rage"]),
        ("emotions", "joy"),
        ("intensity", {"joy": -0.1}),
        ("intensity", {"love": 0.5}),
        ("intensity_class", {"joy": 4}),
        ("version", 2),
        ("post_id", ""),
        ("prompts", -1),
        ("opinion", "third"),
        ("models", {"third": {"id": "m"}}),
        ("models", {"first": {"id": "m", "prompts": -1}}),
    ],
)
def test_the_schema_refuses_what_is_out_of_range(field: str, value: Any) -> None:
    assert not EVENT.is_valid(written(FULL_EVENT) | {field: value})


@pytest.mark.parametrize(
    "spoiled",
    [
        {"sentiment": {"valence": 1.01}},
        {"intensity": {"joy": -0.1}},
        {"version": 2},
        {"created_at": "2026-05-04T12:00:00"},
    ],
)
def test_decoding_refuses_what_is_out_of_range(spoiled: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(written(FULL_EVENT) | spoiled, AffectEvent)


def test_a_reader_of_ours_carries_on_with_a_label_it_does_not_know() -> None:
    later = written(FULL_EVENT) | {"emotions": ["awe"], "new_field": 1}
    assert msgspec.convert(later, AffectEvent).emotions == ("awe",)


@given(event=events)
def test_a_consumer_of_version_1_reads_any_event_written_now(event: AffectEvent) -> None:
    raw = msgspec.json.encode(event)
    EVENT_V1.validate(json.loads(raw))
    read = msgspec.json.decode(raw, type=AffectEventV1)
    assert (read.id, read.post_id, read.created_at) == (event.id, event.post_id, event.created_at)
    assert isinstance(event.emotions, tuple)
    assert read.emotions == list(event.emotions)


def test_a_consumer_of_version_1_finds_every_value_where_it_was() -> None:
    read = msgspec.json.decode(msgspec.json.encode(FULL_EVENT), type=AffectEventV1)
    assert isinstance(FULL_EVENT.sentiment, Sentiment)
    again = msgspec.json.decode(msgspec.json.encode(read), type=AffectEvent)
    assert again == FULL_EVENT


def test_two_models_are_additions_that_a_consumer_of_version_1_reads_past() -> None:
    raw = msgspec.json.encode(TWO_MODELS_EVENT)
    EVENT_V1.validate(json.loads(raw))
    read = msgspec.json.decode(raw, type=AffectEventV1)
    assert read.model.id == "lzw1008/Emollama-chat-7b"
    assert read.prompts == 5


def test_every_field_of_version_1_is_still_there() -> None:
    now = affect_event_schema()
    assert V1_SCHEMA["properties"].keys() <= now["properties"].keys()
    assert now["required"] == V1_SCHEMA["required"]


def test_every_field_with_a_docstring_is_described() -> None:
    valence = affect_event_schema()["$defs"]["Sentiment"]["properties"]["valence"]
    assert valence["description"] == "0 (most negative) to 1 (most positive): the task V-reg."
    assert "description" in affect_event_schema()["$defs"]["Sentiment"]["properties"]["class"]


def test_asyncapi_names_the_topics_and_every_reference_leads_somewhere() -> None:
    document = json.loads(documents()["asyncapi.json"])
    assert document["asyncapi"] == "3.0.0"
    assert [channel["address"] for channel in document["channels"].values()] == [
        "posts",
        "affect.events",
        "affect.dlq",
        "affect.windows",
        "affect.alerts",
        "affect.mutes",
        "affect.baselines",
    ]
    references = set(_references(document))
    assert len(references) > 10
    for reference in references:
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    assert "$defs" not in documents()["asyncapi.json"]


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for part in node.values() for found in _references(part)]
    if isinstance(node, list):
        return [found for part in node for found in _references(part)]
    return []
