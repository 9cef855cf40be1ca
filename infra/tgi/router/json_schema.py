"""A JSON schema as a regular expression of its texts: what an engine is given as a grammar."""

from __future__ import annotations

import json
import re
from typing import Any

from infra.tgi.router.errors import InvalidRequestError

_TYPES = {
    "string": r'"(?:[^"\\\x00-\x1F\x7F-\x9F]|\\["\\])*"',
    "integer": r"-?(?:0|[1-9][0-9]*)",
    "number": r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-][0-9]+)?",
    "boolean": r"(?:true|false)",
    "null": r"null",
}
_CONTAINERS = frozenset({"object", "array"})


def schema_to_regex(value: Any) -> str:
    """A JSON schema as a regular expression of its texts, properties in their order.

    Raises `InvalidRequestError` for what isn't a schema, and for the parts of JSON Schema that
    aren't read here (references, combinations).
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InvalidRequestError(f"grammar is not valid: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequestError("grammar is not supported")
    _check_types(value)
    if "properties" not in value:
        raise InvalidRequestError("grammar is not valid: Grammar must have a 'properties' field")
    return _object(value)


def _check_types(schema: Any) -> None:
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    for one in kinds:
        if one is not None and one not in _TYPES and one not in _CONTAINERS:
            raise InvalidRequestError(
                f"grammar is not valid: {json.dumps(one)} is not valid under any of the schemas "
                "listed in the 'anyOf' keyword"
            )
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise InvalidRequestError(
            f'grammar is not valid: {json.dumps(properties)} is not of type "object"'
        )
    for inner in properties.values():
        _check_types(inner)
    _check_types(schema.get("items"))


def _object(schema: dict[str, Any]) -> str:
    pairs = [
        re.escape(json.dumps(name)) + "[ ]?:[ ]?" + _value(inner)
        for name, inner in schema["properties"].items()
    ]
    return r"\{[ ]?" + r"[ ]?,[ ]?".join(pairs) + r"[ ]?\}"


def _value(schema: Any) -> str:
    if not isinstance(schema, dict):
        raise InvalidRequestError("grammar is not supported")
    if "enum" in schema:
        return "(?:" + "|".join(re.escape(json.dumps(one)) for one in schema["enum"]) + ")"
    if "const" in schema:
        return re.escape(json.dumps(schema["const"]))
    kind = schema.get("type")
    if "properties" in schema:
        return _object(schema)
    if kind == "array":
        item = _value(schema.get("items"))
        return rf"\[[ ]?(?:{item}(?:[ ]?,[ ]?{item})*)?[ ]?\]"
    if not isinstance(kind, str) or kind not in _TYPES:
        raise InvalidRequestError("grammar is not supported")
    if kind == "string" and isinstance(schema.get("pattern"), str):
        return f'"{schema["pattern"].removeprefix("^").removesuffix("$")}"'
    return _TYPES[kind]
