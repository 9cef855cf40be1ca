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
        ("{", "grammar is not valid"),
        (5, "grammar is not supported"),
    ],
)
def test_what_is_no_schema_is_refused(schema: object, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        schema_to_regex(schema)
