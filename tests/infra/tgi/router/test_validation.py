"""A request that breaks a rule hears of it in TGI's words, and of the first of two faults."""

from __future__ import annotations

from typing import Any

import pytest

from infra.tgi import ServerSettings, StartError
from infra.tgi.engine import EngineInfo
from infra.tgi.router.errors import InvalidRequestError
from infra.tgi.router.json_schema import MAX_PATTERN
from infra.tgi.router.requests import GenerateRequest, JsonGrammar, Parameters, RegexGrammar
from infra.tgi.router.validation import Limits, best_of, check, check_length, grammar_pattern
from infra.tgi.settings import token_limits

LIMITS = Limits(
    max_best_of=2,
    max_stop_sequences=4,
    max_top_n_tokens=5,
    max_input_tokens=1024,
    max_total_tokens=2048,
    capacity=4096,
    grammar=True,
)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"temperature": 0.0}, "`temperature` must be strictly positive"),
        ({"temperature": 1e-50}, "`temperature` must be strictly positive"),  # 0 in 32 bits
        ({"repetition_penalty": 0.0}, "`repetition_penalty` must be strictly positive"),
        ({"frequency_penalty": 2.5}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        ({"top_p": 1.0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"typical_p": 0.0}, "`typical_p` must be > 0.0 and < 1.0"),
        ({"top_k": 0}, "`top_k` must be strictly positive"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"stop": ["a"] * 5}, "`stop` supports up to 4 stop sequences. Given: 5"),
        ({"top_n_tokens": 6}, "`top_n_tokens` must be >= 0 and <= 5. Given: 6"),
        ({"truncate": 1025}, "`truncate` must be strictly positive and less than 1024"),
        ({"best_of": 2}, "you must use sampling when `best_of` is > 1"),
        ({"best_of": 2, "top_k": 5, "seed": 1}, "`seed` must not be set when `best_of` > 1"),
        # Two faults: the first in TGI's order.
        ({"top_p": 1.0, "temperature": 0.0}, "`temperature`"),
        ({"max_new_tokens": 0, "stop": ["a"] * 9}, "`max_new_tokens`"),
    ],
)
def test_a_broken_rule_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words.replace(".", r"\.")):
        check(GenerateRequest("x", Parameters(**given)), LIMITS)


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="`inputs` cannot be empty"):
        check(GenerateRequest("", Parameters()), LIMITS)


def test_best_of_is_bounded() -> None:
    best_of(2, LIMITS)
    with pytest.raises(InvalidRequestError, match="must be > 0 and <= 2"):
        best_of(3, LIMITS)


@pytest.mark.parametrize(("length", "asked", "granted"), [(1024, 1024, 1024), (4, 5000, 2044)])
def test_an_answer_may_be_as_long_as_the_total_allows(
    length: int, asked: int, granted: int
) -> None:
    assert check_length(length, asked, LIMITS) == granted


@pytest.mark.parametrize(("length", "asked"), [(1025, 5), (1025, 1024), (2000, 5)])
def test_a_prompt_that_is_too_long_is_refused(length: int, asked: int) -> None:
    with pytest.raises(InvalidRequestError):
        check_length(length, asked, LIMITS)


def test_a_prompt_beyond_the_model_is_refused_whatever_the_flags_say() -> None:
    small = ServerSettings(max_input_tokens=1024, max_total_tokens=2048)
    limits = token_limits(small, EngineInfo("m", max_input_tokens=510, max_total_tokens=1020))
    assert limits.max_input_tokens == 1024
    narrow = Limits(2, 4, 5, 1024, 2048, capacity=510, grammar=True)
    with pytest.raises(InvalidRequestError, match="less than 510 tokens"):
        check_length(511, 5, narrow)


def test_limits_come_from_the_model_where_no_flag_is_given() -> None:
    info = EngineInfo("m", max_input_tokens=2047, max_total_tokens=2048)
    assert token_limits(ServerSettings(), info).max_input_tokens == 2047
    long = EngineInfo("m", max_input_tokens=131_071, max_total_tokens=131_072)
    assert token_limits(ServerSettings(), long).max_total_tokens == 4096


def test_limits_that_contradict_each_other_are_refused_at_start() -> None:
    with pytest.raises(StartError, match="must be below"):
        token_limits(ServerSettings(max_input_tokens=9, max_total_tokens=9), EngineInfo("m"))


def test_grammars_are_refused_where_they_are_switched_off() -> None:
    off = Limits(2, 4, 5, 1024, 2048, capacity=4096, grammar=False)
    with pytest.raises(InvalidRequestError, match="grammar is not supported"):
        grammar_pattern(RegexGrammar("a"), off)
    assert grammar_pattern(RegexGrammar("a+"), LIMITS) == "a+"


def test_a_pattern_is_bounded() -> None:
    grammar_pattern(RegexGrammar("a" * MAX_PATTERN), LIMITS)
    with pytest.raises(InvalidRequestError, match="more than 8192 characters"):
        grammar_pattern(RegexGrammar("a" * (MAX_PATTERN + 1)), LIMITS)


@pytest.mark.parametrize(
    "pattern",
    [
        "a{1000000000}",
        "(?:ab?){1000000,}",
        "(?:(?:a{100}){100}|b){100}",
        "[)]{30000}",
        r"\({30000}",
        "a{" + "9" * 5000 + "}",
    ],
)
def test_a_pattern_that_takes_all_the_memory_to_compile_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequestError, match="written out, more than 20000 parts"):
        grammar_pattern(RegexGrammar(pattern), LIMITS)


def test_a_schema_that_asks_for_a_million_values_is_refused() -> None:
    asked = {"properties": {"a": {"items": {"type": "string"}, "minItems": 10**6, "type": "array"}}}
    with pytest.raises(InvalidRequestError, match="written out, more than 20000 parts"):
        grammar_pattern(JsonGrammar(asked), LIMITS)


@pytest.mark.parametrize(
    "pattern",
    [
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?:\.[0-9]{3,6})?",
        "a{0,1000000000}",
        "[]{30000}]{3}",
        "[^]{30000}]",
        r"[\]{30000}]",
        "(?:(?:a{10}){10}){10}",
        "a{,30000}",
        ")(",
        "[",
        "\\",
        "{30000}",
    ],
)
def test_others_are_left_to_the_compiler(pattern: str) -> None:
    assert grammar_pattern(RegexGrammar(pattern), LIMITS) == pattern
