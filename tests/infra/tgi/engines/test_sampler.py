"""The sampler agrees with transformers' logits processors, and keeps to grammars."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
import torch
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from infra.tgi.engine import Job, Sampling
from infra.tgi.engines.grammar import Guide
from infra.tgi.engines.sampler import Sampler, process_logits
from infra.tgi.errors import EngineError

LOGITS = np.random.default_rng(5).normal(0, 3, 50).astype(np.float32)
IDS = [3, 7, 7, 20]


@pytest.mark.parametrize(
    ("sampling", "theirs"),
    [
        (Sampling(temperature=0.6), TemperatureLogitsWarper(0.6)),
        (Sampling(top_k=7), TopKLogitsWarper(7)),
        (Sampling(top_p=0.8), TopPLogitsWarper(0.8)),
        (Sampling(top_p=0.01), TopPLogitsWarper(0.01)),
        (Sampling(typical_p=0.6), TypicalLogitsWarper(0.6)),
        (Sampling(repetition_penalty=1.4), RepetitionPenaltyLogitsProcessor(1.4)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scores_are_those_of_transformers(sampling: Sampling, theirs: object) -> None:
    mine = process_logits(LOGITS, sampling, IDS)
    if sampling.temperature != 1.0:
        mine += np.max(LOGITS) / sampling.temperature  # ours are shifted, which changes no options
    assert callable(theirs)
    reference = theirs(torch.tensor([IDS]), torch.tensor(LOGITS).unsqueeze(0))[0].numpy()
    np.testing.assert_allclose(mine, reference, rtol=1e-5)


def test_the_smallest_temperature_takes_the_most_likely_token() -> None:
    sampling = Sampling(do_sample=True, temperature=1e-45)
    sampler = Sampler(
        Job([1], 9, sampling=sampling), history=[], eos_ids=frozenset(), decode=lambda _: ""
    )
    assert sampler.next_token(LOGITS)[0] == int(np.argmax(LOGITS))


def test_a_frequency_penalty_weighs_what_comes_often() -> None:
    mine = process_logits(LOGITS, Sampling(frequency_penalty=1.0), IDS)
    assert LOGITS[7] - mine[7] == pytest.approx(0.5)
    assert LOGITS[3] - mine[3] == pytest.approx(0.25)
    assert mine[0] == LOGITS[0]


WORDS = ["<end>", "0", ".", "7", "3", "joy", ", ", "fear", "x"]


def _sampler(grammar: str, *, sampling: Sampling | None = None) -> Sampler:
    return Sampler(
        Job([1], 20, grammar=grammar, sampling=sampling or Sampling()),
        history=[],
        eos_ids=frozenset({0}),
        decode=lambda ids: "".join(WORDS[one] for one in ids if one),
    )


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(do_sample=True, seed=3)])
def test_an_answer_matches_its_grammar_whatever_the_model_would_rather(
    sampling: Sampling,
) -> None:
    pattern = r"0\.[0-9]{1,3}"
    sampler = _sampler(pattern, sampling=sampling)
    random = np.random.default_rng(1)
    text = ""
    for _ in range(10):
        token, _, _ = sampler.next_token(random.normal(0, 1, len(WORDS)).astype(np.float32))
        if token == 0:
            break
        text += WORDS[token]
    assert re.fullmatch(pattern, text)


def test_a_model_without_a_token_for_the_grammar_fails_instead_of_hanging() -> None:
    with pytest.raises(EngineError, match="keeps to the grammar"):
        _sampler("ü+").next_token(np.zeros(len(WORDS), dtype=np.float32))


def test_searching_a_token_for_a_grammar_ends_in_time() -> None:
    """In all for an answer, not for each token: a hostile pattern costs a little at each."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.4
        return now

    sampler = Sampler(
        Job([1], 20, grammar="a+b"),
        history=[],
        eos_ids=frozenset({0}),
        decode=lambda ids: "".join("_a"[one] for one in ids),
        clock=clock,
    )
    logits = np.array([0, 1], dtype=np.float32)
    for _ in range(3):  # 0.8 seconds each by that clock
        sampler.next_token(logits)
    with pytest.raises(EngineError, match="takes too long"):
        sampler.next_token(logits)


@pytest.mark.parametrize("pattern", ["([0-9", "(" * 4000 + ")" * 4000, "(?P<a>a)(?P<a", "*"])
def test_a_bad_pattern_is_an_error_of_its_job(pattern: str) -> None:
    with pytest.raises(EngineError):
        Guide(pattern)


def test_a_pattern_of_the_greatest_length_compiles_in_no_time() -> None:
    """Python's own compiler takes minutes over these: each range has a million characters."""
    wide = "[\u0100-\U0010fffd]"
    started = time.perf_counter()
    Guide("(?i)" + wide * (8000 // len(wide)))
    assert time.perf_counter() - started < 10


def test_a_pattern_that_backtracks_without_end_is_given_up() -> None:
    with pytest.raises(EngineError, match="too long"):
        Guide(r"(a|aa)+[bc]").complete("a" * 80 + "d")
