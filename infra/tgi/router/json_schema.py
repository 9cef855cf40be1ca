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

#: Characters of a pattern. The worst found take 0.1 s to compile at half this length; the longest
#: of the EmoLLM tasks (V-oc) has 370.
MAX_PATTERN = 8192

#: Levels of a schema. An array's pattern has its item's twice, so that a schema of 500 bytes with
#: 20 nested arrays would come to a gigabyte: MAX_PATTERN ends that, this the recursion.
_MAX_DEPTH = 32


def schema_to_regex(value: Any) -> str:
    """A JSON schema as a regular expression of its texts, properties in their order.

    Raises `InvalidRequestError` for what isn't a schema, for the parts of JSON Schema that aren't
    read here (references, combinations), and for one that is too deep or too long.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise _invalid(str(error)) from error
    if not isinstance(value, dict):
        raise _unsupported()
    _check_types(value, _MAX_DEPTH)
    if "properties" not in value:
        raise _invalid("Grammar must have a 'properties' field")
    return _object(value)


def _invalid(reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"grammar is not valid: {reason}")


def _unsupported() -> InvalidRequestError:
    return InvalidRequestError("grammar is not supported")


def _check_types(schema: Any, depth: int) -> None:
    if not isinstance(schema, dict):
        return
    if not depth:
        raise _invalid(f"more than {_MAX_DEPTH} levels")
    kind = schema.get("type")
    for one in kind if isinstance(kind, list) else [kind]:
        if one is not None and not (isinstance(one, str) and (one in _TYPES or one in _CONTAINERS)):
            raise _invalid(
                f"{_short(one)} is not valid under any of the schemas listed in the 'anyOf' keyword"
            )
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise _invalid(f'{_short(properties)} is not of type "object"')
    for inner in properties.values():
        _check_types(inner, depth - 1)
    _check_types(schema.get("items"), depth - 1)


def _short(value: Any) -> str:
    return json.dumps(value)[:200]


def _object(schema: dict[str, Any]) -> str:
    pairs = [
        re.escape(json.dumps(name)) + "[ ]?:[ ]?" + _value(inner)
        for name, inner in schema["properties"].items()
    ]
    return _bounded(r"\{[ ]?" + r"[ ]?,[ ]?".join(pairs) + r"[ ]?\}")


def _value(schema: Any) -> str:
    if not isinstance(schema, dict):
        raise _unsupported()
    if isinstance(schema.get("enum"), list):
        return _bounded(
            "(?:" + "|".join(re.escape(json.dumps(one)) for one in schema["enum"]) + ")"
        )
    if "const" in schema:
        return _bounded(re.escape(json.dumps(schema["const"])))
    kind = schema.get("type")
    if "properties" in schema:
        return _object(schema)
    if kind == "array":
        item = _value(schema.get("items"))
        return _bounded(rf"\[[ ]?(?:{item}(?:[ ]?,[ ]?{item})*)?[ ]?\]")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise _unsupported()
    if kind == "string" and isinstance(schema.get("pattern"), str):
        return _bounded(f'"{schema["pattern"].removeprefix("^").removesuffix("$")}"')
    return _TYPES[kind]


def _bounded(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN:
        raise _invalid(f"its pattern has more than {MAX_PATTERN} characters")
    return pattern
