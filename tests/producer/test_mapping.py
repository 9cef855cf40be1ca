"""Other shapes become posts by dotted paths, or are refused with the field's name."""

from datetime import UTC, datetime
from typing import Any

import pytest

from producer.mapping import FieldMapping, NotAPostError, walk

TWEET = {
    "id_str": "12",
    "full_text": "hi",
    "created_at": "Wed Oct 10 20:19:24 +0000 2018",
    "user": {"screen_name": "ann", "followers": 3},
    "entities": {"hashtags": [{"text": "x"}, {"text": "y"}]},
    "tags": ["a", 7, None, "b"],
}
MAPPING = FieldMapping(
    id="id_str",
    text="full_text",
    author="user.screen_name",
    topics="tags",
    meta={"followers": "user.followers", "first_tag": "entities.hashtags.0.text", "none": "x.y"},
    default_source="twitter",
)


def test_every_field_is_found_by_its_path() -> None:
    post = MAPPING.post(TWEET, place="f:1")
    assert (post.id, post.text, post.author, post.source) == ("12", "hi", "ann", "twitter")
    assert post.created_at == datetime(2018, 10, 10, 20, 19, 24, tzinfo=UTC)
    assert post.topics == ("a", "7", "b")
    assert post.meta == {"followers": 3, "first_tag": "x"}


def test_a_record_without_an_id_is_named_by_its_place_where_asked() -> None:
    assert FieldMapping(id="@position").post({"text": "x"}, place="f.csv:7").id == "f.csv:7"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"text": "x"}, "no id at id"),
        ({"id": "", "text": "x"}, "no id at id"),
        ({"id": True, "text": "x"}, "no id at id"),
        ({"id": 1.5, "text": "x"}, "no id at id"),
        ({"id": "1"}, "no text at text"),
        ({"id": "1", "text": 5}, "no text at text"),
        ({"id": "1", "text": "x", "created_at": "soon"}, "no time that can be read at created_at"),
        ({"id": "1", "text": "x", "created_at": 1e30}, "no time that can be read at created_at"),
        ({"id": "1", "text": "x", "created_at": []}, "no time that can be read at created_at"),
        (["x"], "expected an object"),
    ],
)
def test_what_cannot_be_mapped_is_refused_by_the_fields_name(record: Any, said: str) -> None:
    with pytest.raises(NotAPostError, match=said):
        FieldMapping().post(record, place="f:1")


@pytest.mark.parametrize(
    "time",
    [
        1_700_000_000,
        "1700000000",
        1_700_000_000_000,
        "1700000000.0",
        "2023-11-14T22:13:20Z",
        "2023-11-14 22:13:20",
        "2023-11-15T03:43:20+05:30",
    ],
)
def test_a_time_is_read_in_the_forms_that_files_have(time: Any) -> None:
    post = FieldMapping().post({"id": 1, "text": "x", "created_at": time}, place="f:1")
    assert post.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_topics_in_one_cell_are_parted_by_commas() -> None:
    assert FieldMapping().post({"id": "1", "text": "x", "topics": "a, b,,"}, place="").topics == (
        "a",
        "b",
    )


def test_a_key_with_dots_is_found_before_a_path_is_walked() -> None:
    assert walk({"user.name": "flat", "user": {"name": "deep"}}, "user.name") == "flat"
    assert walk({"a": [1]}, "a.1") is None
    assert walk({"a": "b"}, "a.b.c") is None
