"""The rules of a generate request: TGI's, in TGI's order, with TGI's words.

The order matters: of two errors the client is told the first.
"""

from __future__ import annotations

import ctypes
import random
from dataclasses import dataclass

from infra.tgi.engine import GREEDY, Sampling
from infra.tgi.router.errors import InvalidRequestError
from infra.tgi.router.json_schema import MAX_PATTERN, schema_to_regex
from infra.tgi.router.repetitions import MAX_SIZE, written_out
from infra.tgi.router.requests import GenerateRequest, Grammar, Parameters, RegexGrammar

#: TGI answers in chunks of this many tokens, and checks no more than one chunk against the total.
DEFAULT_GENERATION_LENGTH = 1024

_MAX_FREQUENCY_PENALTY = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may ask for. `capacity` is the longest prompt the model itself can hold."""

    max_best_of: int
    max_stop_sequences: int
    max_top_n_tokens: int
    max_input_tokens: int
    max_total_tokens: int
    capacity: int
    grammar: bool


@dataclass(frozen=True, slots=True)
class ValidParameters:
    """A request whose parameters keep the rules; its length isn't known yet."""

    sampling: Sampling
    stop: tuple[str, ...]
    truncate: int | None
    max_new_tokens: int | None
    top_n_tokens: int
    grammar: Grammar | None


def check(request: GenerateRequest, limits: Limits) -> ValidParameters:
    """Check all that needs no tokenizer. Raises `InvalidRequestError`."""
    given = request.parameters
    sampling = _sampling(given)
    if given.max_new_tokens == 0:
        raise InvalidRequestError("`max_new_tokens` must be strictly positive")
    if len(given.stop) > limits.max_stop_sequences:
        raise InvalidRequestError(
            f"`stop` supports up to {limits.max_stop_sequences} stop sequences. "
            f"Given: {len(given.stop)}"
        )
    if given.seed is not None and (given.best_of or 1) > 1:
        raise InvalidRequestError("`seed` must not be set when `best_of` > 1")
    top = given.top_n_tokens or 0
    if top > limits.max_top_n_tokens:
        raise InvalidRequestError(
            f"`top_n_tokens` must be >= 0 and <= {limits.max_top_n_tokens}. Given: {top}"
        )
    if not request.inputs:
        raise InvalidRequestError("`inputs` cannot be empty")
    truncate = given.truncate
    if truncate is not None and not 0 < truncate <= limits.max_input_tokens:
        raise InvalidRequestError(
            "`truncate` must be strictly positive and less than "
            f"{limits.max_input_tokens}. Given: {truncate}"
        )
    return ValidParameters(
        sampling, tuple(given.stop), truncate, given.max_new_tokens, top, given.grammar
    )


def _sampling(given: Parameters) -> Sampling:
    if (
        not given.do_sample
        and given.best_of is None
        and given.temperature is None
        and given.repetition_penalty is None
        and given.frequency_penalty is None
        and given.top_p is None
        and given.typical_p is None
        and given.top_k is None
    ):
        return GREEDY
    temperature, top_p, typical_p = (
        _float32(one) for one in (given.temperature, given.top_p, given.typical_p)
    )
    warped = (temperature, given.top_k, top_p, typical_p)
    if (given.best_of or 1) > 1 and not given.do_sample and all(one is None for one in warped):
        raise InvalidRequestError("you must use sampling when `best_of` is > 1")
    if temperature is not None and temperature <= 0:
        raise InvalidRequestError("`temperature` must be strictly positive")
    repetition = _float32(given.repetition_penalty)
    if repetition is not None and repetition <= 0:
        raise InvalidRequestError("`repetition_penalty` must be strictly positive")
    frequency = given.frequency_penalty or 0.0
    if not -_MAX_FREQUENCY_PENALTY <= frequency <= _MAX_FREQUENCY_PENALTY:
        raise InvalidRequestError("`frequency_penalty` must be >= -2.0 and <= 2.0")
    if top_p is not None and not 0 < top_p < 1:
        raise InvalidRequestError("`top_p` must be > 0.0 and < 1.0")
    if typical_p is not None and not 0 < typical_p < 1:
        raise InvalidRequestError("`typical_p` must be > 0.0 and < 1.0")
    if given.top_k is not None and given.top_k <= 0:
        raise InvalidRequestError("`top_k` must be strictly positive")
    return Sampling(
        do_sample=given.do_sample,
        temperature=1.0 if temperature is None else temperature,
        top_k=given.top_k or 0,
        top_p=1.0 if top_p is None else top_p,
        typical_p=1.0 if typical_p is None else typical_p,
        repetition_penalty=1.0 if repetition is None else repetition,
        frequency_penalty=frequency,
        seeded=given.seed is not None,
        seed=random.getrandbits(64) if given.seed is None else given.seed,
    )


def _float32(value: float | None) -> float | None:
    """The nearest 32-bit float, as TGI keeps numbers: 1e-50 is 0 there, and so refused."""
    return None if value is None else ctypes.c_float(value).value


def best_of(wanted: int, limits: Limits) -> None:
    """Check how many answers to choose from, where that is more than one."""
    if limits.max_best_of == 1:
        raise InvalidRequestError("`best_of` != 1 is not allowed for this endpoint")
    if wanted > limits.max_best_of:
        raise InvalidRequestError(
            f"`best_of` must be > 0 and <= {limits.max_best_of}. Given: {wanted}"
        )


def check_length(length: int, max_new_tokens: int | None, limits: Limits) -> int:
    """Check the prompt's length in tokens; returns how many tokens the answer may have."""
    if max_new_tokens is None:
        max_new_tokens = max(limits.max_total_tokens - length, 0)
    checked = min(max_new_tokens, DEFAULT_GENERATION_LENGTH)
    if length + checked > limits.max_total_tokens:
        raise InvalidRequestError(
            f"`inputs` tokens + `max_new_tokens` must be <= {limits.max_total_tokens}. "
            f"Given: {length} `inputs` tokens and {checked} `max_new_tokens`"
        )
    longest = min(limits.max_input_tokens, limits.capacity)
    if length > longest:
        raise InvalidRequestError(f"`inputs` must have less than {longest} tokens. Given: {length}")
    # TGI answers past the total here, in chunks; a server without paging must not.
    return max(1, min(max_new_tokens, limits.max_total_tokens - length))


def grammar_pattern(grammar: Grammar, limits: Limits) -> str:
    """The grammar as a regular expression. Raises `InvalidRequestError`."""
    if not limits.grammar:
        raise InvalidRequestError("grammar is not supported")
    if isinstance(grammar, RegexGrammar):
        pattern = grammar.value
        if len(pattern) > MAX_PATTERN:
            raise InvalidRequestError(f"grammar is not valid: more than {MAX_PATTERN} characters")
    else:
        pattern = schema_to_regex(grammar.schema)
    if written_out(pattern) > MAX_SIZE:
        raise InvalidRequestError(
            f"grammar is not valid: with its repetitions written out, more than {MAX_SIZE} parts"
        )
    return pattern
