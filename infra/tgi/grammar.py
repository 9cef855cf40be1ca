"""Answers held to a grammar: a regular expression, or a JSON schema turned into one.

TGI compiles a grammar into an automaton over the whole vocabulary (seconds). Here each candidate
token is tried against the pattern as it comes up, most likely first: nothing to compile, and a
model that keeps to the format by itself pays next to nothing.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from typing import Any

from infra.tgi.errors import EngineError, InvalidRequestError

#: Seconds that one match may take: a stranger's pattern may backtrack for ever.
_MATCH_SECONDS = 0.5

_TYPES = {
    "string": r'"(?:[^"\\\x00-\x1F\x7F-\x9F]|\\["\\])*"',
    "integer": r"-?(?:0|[1-9][0-9]*)",
    "number": r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-][0-9]+)?",
    "boolean": r"(?:true|false)",
    "null": r"null",
}
_CONTAINERS = frozenset({"object", "array"})


def available() -> bool:
    """Whether this installation can hold answers to a grammar (the `regex` package is there)."""
    return importlib.util.find_spec("regex") is not None


class Guide:
    """Tells, for a growing answer, whether it can still come to match, and whether it does."""

    def __init__(self, pattern: str) -> None:
        try:
            # Python's own compiler first: its words for a bad pattern are the ones TGI answers.
            re.compile(pattern)
            self._pattern = _compiled(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise EngineError(str(error)) from error
        except Exception as error:  # what `regex` alone refuses has an error type of its own
            raise EngineError(str(error)) from error

    def allows(self, text: str) -> bool:
        """Whether `text` is the beginning of a match, or one."""
        return self._match(text, partial=True)

    def complete(self, text: str) -> bool:
        """Whether `text` is a match."""
        return self._match(text, partial=False)

    def _match(self, text: str, *, partial: bool) -> bool:
        try:
            found = self._pattern.fullmatch(text, partial=partial, timeout=_MATCH_SECONDS)
        except TimeoutError as error:
            raise EngineError("the grammar takes too long to match") from error
        return found is not None


@functools.lru_cache(maxsize=32)
def _compiled(pattern: str) -> Any:
    import regex  # noqa: PLC0415

    return regex.compile(pattern)


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
