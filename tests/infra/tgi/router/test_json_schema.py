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
    ("schema", "right", "wrong"),
    [
        ({"type": "string", "pattern": "^joy|fear$"}, ["joy", "fear"], ["joy|fear", ""]),
        ({"type": "string", "maxLength": 2}, ["", "ab"], ["abc"]),
        ({"type": "string", "minLength": 2}, ["ab", "abc"], ["a"]),
        ({"type": "array", "items": {"type": "null"}, "maxItems": 0}, [[]], [[None]]),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2}, [[None] * 3], [[None]]),
        ({"type": "array", "items": {"type": "null"}, "maxItems": 1}, [[], [None]], [[None] * 2]),
        ({"enum": ["très", "très bien"]}, ["très bien"], ["tres"]),
        ({"const": "😀"}, ["😀"], ["x"]),
    ],
)
def test_a_pattern_holds_to_what_the_schema_says_of_a_value(
    schema: object, right: list[object], wrong: list[object]
) -> None:
    pattern = re.compile(schema_to_regex({"properties": {"größe": schema}}))
    for value in right:
        assert pattern.fullmatch(json.dumps({"größe": value}, ensure_ascii=False))
    for value in wrong:
        assert not pattern.fullmatch(json.dumps({"größe": value}, ensure_ascii=False))
    assert not pattern.fullmatch('{"größe": "joy')


@pytest.mark.parametrize(
    ("required", "right", "wrong"),
    [
        (None, ["abc"], ["", "a", "ab", "bc"]),
        (["a", "b", "c", "other"], ["abc"], ["", "ab", "ac"]),
        (["b"], ["b", "ab", "bc", "abc"], ["", "a", "c", "ac"]),
        (["c", "a"], ["ac", "abc"], ["a", "c", "ab", "bc"]),
        ([], ["", "a", "b", "c", "ab", "ac", "bc", "abc"], ["ba", "cb", "aa"]),
    ],
)
def test_properties_that_are_not_required_may_be_left_out(
    required: list[str] | None, right: list[str], wrong: list[str]
) -> None:
    """All had to come, whatever the schema said."""
    schema = {"properties": {name: {"type": "integer"} for name in "abc"}}
    pattern = re.compile(
        schema_to_regex(schema | ({} if required is None else {"required": required}))
    )
    for names in (*right, *wrong):
        text = "{" + ", ".join(f'"{name}": 1' for name in names) + "}"
        assert bool(pattern.fullmatch(text)) == (names in right), text
    for text in ('{"a": 1, "b": 1, "c": 1,}', '{,"b": 1}', '{"a": 1 "b": 1, "c": 1}'):
        assert not pattern.fullmatch(text)


def test_a_hundred_thousand_properties_that_may_be_left_out_are_refused_at_once() -> None:
    schema = {"properties": {str(n): {"type": "null"} for n in range(100_000)}, "required": []}
    with pytest.raises(InvalidRequestError, match="more than 8192 characters"):
        schema_to_regex(schema)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "must have a 'properties' field"),
        ({"type": "nonsense", "properties": {}}, '"nonsense" is not valid'),
        ({"properties": {"a": {"$ref": "#/x"}}}, "grammar is not supported"),
        ({"properties": 5}, 'not of type "object"'),
        ({"type": [["string"]], "properties": {}}, "is not valid"),
        ({"properties": {"a": {"enum": 5}}}, "grammar is not supported"),
        ({"properties": {"a": {"type": "string", "maxLength": "3"}}}, '"3" is no number of'),
        ({"properties": {"a": {"type": "string", "minLength": True}}}, "true is no number of"),
        ({"properties": {"a": {"type": "string", "minLength": 3, "maxLength": 2}}}, "is below"),
        ({"properties": {"a": {"type": "null"}}, "required": "a"}, '"a" is no list of'),
        ({"properties": {"a": {"properties": {}, "required": [5]}}}, "is no list of"),
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
