"""What pydantic or msgspec finds wrong with a value, for whoever wrote the configuration."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from runtime.spelling import did_you_mean

_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of at most 4,300 digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number, and neither infinite nor nan",
    "string_type": "must be a text, in quotes",
    "string_sub_type": "must be a text, in quotes",
    "string_unicode": "must be UTF-8 text",
    "tuple_type": "must be a list, in square brackets",
    "list_type": "must be a list, in square brackets",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "date_from_datetime_parsing": "must be a date",
}

_BOUNDS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "greater_than": lambda limits: f"must be above {limits['gt']:g}",
    "greater_than_equal": lambda limits: f"must be at least {limits['ge']:g}",
    "less_than": lambda limits: f"must be below {limits['lt']:g}",
    "less_than_equal": lambda limits: f"must be at most {limits['le']:g}",
    "string_pattern_mismatch": lambda limits: f"must be of the form {limits['pattern']}",
    "literal_error": lambda limits: f"must be one of {_choices(str(limits['expected']))}",
    "string_too_short": lambda limits: _at_least(int(limits["min_length"]), "character"),
    "string_too_long": lambda limits: f"must have at most {limits['max_length']} characters",
    "too_short": lambda limits: _at_least(int(limits["min_length"]), "entry", "entries"),
    "too_long": lambda limits: f"must have at most {limits['max_length']} entries",
}


def plain(kind: str, message: str, limits: Mapping[str, Any]) -> str:
    """Say what is wrong without pydantic's words.

    `kind`, `message` and `limits` are an error's `type`, `msg` and `ctx`. What our own validators
    say is kept; where there is no word for a kind, pydantic's message is.
    """
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in _BOUNDS:
        return _BOUNDS[kind](limits)
    return message.removeprefix("Value error, ")


def _choices(expected: str) -> str:
    """`'', 'a' or 'b'`, as pydantic lists them, as TOML has them."""
    names = expected.replace(" or ", ", ").replace("'", '"')
    return names.replace('""', '"" (empty)')


def _at_least(count: int, one: str, many: str | None = None) -> str:
    if count == 1:
        return "must not be empty"
    return f"must have at least {count} {many or one + 's'}"


_EXPECTED = re.compile(r"Expected `([^`]+)`(?:, got `[^`]+`)?(?: - at `\$\.?([^`]*)`)?")
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(\w+)`")
_ENUM = re.compile(r"Invalid enum value '?(.*?)'?(?: - at `\$\.?([^`]*)`)?")
_KINDS: Final[Mapping[str, str]] = {
    "array": "a list, in square brackets",
    "str": "a text, in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "a table",
}


def plain_msgspec(message: str, names: Iterable[str]) -> str:
    """Say the same of a table that msgspec refused; `names` are the keys it may have."""
    if (field := _FIELD.match(message)) is not None:
        if field[1] == "missing required":
            return f"{field[2]} is missing"
        return f"unknown key {field[2]}{did_you_mean(field[2], names)}"
    if (enum := _ENUM.fullmatch(message)) is not None:
        return f"{enum[2]}: {enum[1]!r} is none of its values"
    if (expected := _EXPECTED.fullmatch(message)) is not None:
        kinds = (_KINDS.get(kind.strip(), kind.strip()) for kind in expected[1].split("|"))
        words = " or ".join(kind for kind in kinds if kind != "null")
        return f"{expected[2] or 'it'}: must be {words}"
    return message
