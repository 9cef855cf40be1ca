"""A JSON schema becomes a pattern of its texts, or is refused."""

from __future__ import annotations

import json
import re

import pytest

from infra.tgi.router.errors import InvalidRequestError
from infra.tgi.router.json_schema import schema_to_regex


def test_a_json_schema_becomes_a_pattern_of_its_texts() -> None:
    schema = {
        "type": "object",
        "properties": {
            "mood": {"enum": ["joy", "fear"]},
            "score": {"type": "number"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "inner": {"type": "object", "properties": {"ok": {"type": "boolean"}}},
        },
    }
    value = {"mood": "joy", "score": -0.5, "tags": ["a", "b"], "inner": {"ok": True}}
    for given in (schema, json.dumps(schema)):
        assert re.fullmatch(schema_to_regex(given), json.dumps(value))
    assert not re.fullmatch(schema_to_regex(schema), '{"mood": "rage"}')


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "must have a 'properties' field"),
        ({"type": "nonsense", "properties": {}}, '"nonsense" is not valid'),
        ({"properties": {"a": {"$ref": "#/x"}}}, "grammar is not supported"),
        ({"properties": 5}, 'not of type "object"'),
        ({"type": [["string"]], "properties": {}}, "is not valid"),
        ({"properties": {"a": {"enum": 5}}}, "grammar is not supported"),
        ("[" * 100_000, "grammar is not valid"),
        ("{", "grammar is not valid"),
        (5, "grammar is not supported"),
    ],
)
def test_what_is_no_schema_is_refused(schema: object, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        schema_to_regex(schema)


def _nested(depth: int) -> dict[str, object]:
    schema: dict[str, object] = {"type": "number"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return {"properties": {"a": schema}}


@pytest.mark.parametrize("depth", [8, 20, 30])
def test_nested_arrays_are_refused_before_their_pattern_doubles_out_of_hand(depth: int) -> None:
    """Twenty of them, 517 bytes, held the server for 67 seconds."""
    with pytest.raises(InvalidRequestError, match="more than 8192 characters"):
        schema_to_regex(_nested(depth))


def test_a_few_nested_arrays_are_read() -> None:
    assert re.fullmatch(schema_to_regex(_nested(3)), '{"a": [[[1.5, 2], []]]}')


def test_a_deep_schema_is_refused_without_recursing_into_it() -> None:
    schema: dict[str, object] = {"properties": {}}
    for _ in range(5000):
        schema = {"properties": {"a": schema}}
    with pytest.raises(InvalidRequestError, match="more than 32 levels"):
        schema_to_regex(schema)


def test_a_long_list_of_values_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="more than 8192 characters"):
        schema_to_regex({"properties": {"a": {"enum": [str(n) for n in range(100_000)]}}})
