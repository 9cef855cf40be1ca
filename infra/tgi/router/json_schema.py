"""A JSON schema as a regular expression of its texts: what an engine is given as a grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from infra.tgi.router.errors import InvalidRequestError

_CHARACTER = r'(?:[^"\\\x00-\x1F\x7F-\x9F]|\\["\\])'
_TYPES = {
    "string": f'"{_CHARACTER}*"',
    "integer": r"-?(?:0|[1-9][0-9]*)",
    "number": r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-][0-9]+)?",
    "boolean": r"(?:true|false)",
    "null": r"null",
}
_COMMA = r"[ ]?,[ ]?"
_CONTAINERS = frozenset({"object", "array"})

#: Characters of a pattern. The worst found take 0.1 s to compile at half this length; the longest
#: of the EmoLLM tasks (V-oc) has 370.
MAX_PATTERN = 8192

#: Levels of a schema. An array's pattern has its item's twice, so that a schema of 500 bytes with
#: 20 nested arrays would come to a gigabyte: MAX_PATTERN ends that, this the recursion.
_MAX_DEPTH = 32


def schema_to_regex(value: Any) -> str:
    """A JSON schema as a regular expression of its texts, properties in their order.

    With `required`, properties that aren't listed there may be left out, as in TGI. Without it
    (TGI: all may be) none is: such an answer fits the schema, too, and is what was asked for.

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
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(one, str) for one in required):
        raise _invalid(f"{_short(required)} is no list of properties' names")
    for inner in properties.values():
        _check_types(inner, depth - 1)
    _check_types(schema.get("items"), depth - 1)


def _short(value: Any) -> str:
    return json.dumps(value)[:200]


def _object(schema: dict[str, Any]) -> str:
    """Members in their order, with commas between those that are there."""
    members = [
        _written(name) + "[ ]?:[ ]?" + _value(inner) for name, inner in schema["properties"].items()
    ]
    _bounded("".join(members))  # before they are written out again and again
    required = schema.get("required")
    if required is None:  # TGI leaves out any of them, which nobody wants who left `required` out
        return _braced(_COMMA.join(members))
    needed = [name in required for name in schema["properties"]]
    if True not in needed:  # for each of them: where it is the last one
        return _braced(f"(?:{'|'.join(map(_up_to, _beginnings(members)))})?")
    last = len(needed) - 1 - needed[::-1].index(True)
    parts = [
        *(member + _COMMA for member in members[:last]),
        members[last],
        *(_COMMA + member for member in members[last + 1 :]),
    ]
    pairs = zip(parts, needed, strict=True)
    return _braced("".join(part if must else f"(?:{part})?" for part, must in pairs))


def _beginnings(members: list[str]) -> Iterator[list[str]]:
    return (members[:end] for end in range(1, len(members) + 1))


def _up_to(members: list[str]) -> str:
    """Write some of them, and the last one in any case."""
    return "".join(f"(?:{member}{_COMMA})?" for member in members[:-1]) + members[-1]


def _braced(members: str) -> str:
    return _bounded(rf"\{{[ ]?{members}[ ]?\}}")


def _value(schema: Any) -> str:
    if not isinstance(schema, dict):
        raise _unsupported()
    if isinstance(schema.get("enum"), list):
        return _bounded("(?:" + "|".join(map(_written, schema["enum"])) + ")")
    if "const" in schema:
        return _bounded(_written(schema["const"]))
    kind = schema.get("type")
    if "properties" in schema:
        return _object(schema)
    if kind == "array":
        return _array(_value(schema.get("items")), *_limits(schema, "minItems", "maxItems"))
    if not isinstance(kind, str) or kind not in _TYPES:
        raise _unsupported()
    return _string(schema) if kind == "string" else _TYPES[kind]


def _string(schema: dict[str, Any]) -> str:
    if isinstance(schema.get("pattern"), str):
        return _bounded(f'"(?:{schema["pattern"].removeprefix("^").removesuffix("$")})"')
    if "minLength" in schema or "maxLength" in schema:
        least, most = _limits(schema, "minLength", "maxLength")
        return f'"{_CHARACTER}{{{least},{"" if most is None else most}}}"'
    return _TYPES["string"]


def _array(item: str, least: int, most: int | None) -> str:
    if most == 0:
        return r"\[[ ]?\]"
    further = f"{{{max(0, least - 1)},{'' if most is None else most - 1}}}"
    items = f"{item}(?:[ ]?,[ ]?{item}){further}"
    return _bounded(rf"\[[ ]?{items if least else f'(?:{items})?'}[ ]?\]")


def _limits(schema: dict[str, Any], least: str, most: str) -> tuple[int, int | None]:
    """How often something may come; None for no upper limit."""
    low, high = schema.get(least, 0), schema.get(most)
    for one in (low, 0 if high is None else high):
        if not isinstance(one, int) or isinstance(one, bool) or one < 0:
            raise _invalid(f"{_short(one)} is no number of times")
    if high is not None and high < low:
        raise _invalid(f"{most} is below {least}")
    return low, high


def _written(value: Any) -> str:
    """A constant as it is written: é as itself, which is what a model says."""
    return re.escape(json.dumps(value, ensure_ascii=False))


def _bounded(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN:
        raise _invalid(f"its pattern has more than {MAX_PATTERN} characters")
    return pattern
