"""Samples the next token from a model's logits, where argmax alone won't do.

The logits processors, their order and their formulas are those of TGI's model server (which takes
them from transformers): penalties, temperature, top-k, top-p, typical-p, then the draw.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from infra.tgi.engine import Job, Sampling
from infra.tgi.engines.grammar import Guide
from infra.tgi.errors import EngineError

Logits = npt.NDArray[np.float32]

#: Candidates tried against a grammar before giving up: what is less likely is no answer.
_CANDIDATES = 4096

#: Seconds that one answer may search for tokens that its grammar allows. A model that keeps to the
#: grammar by itself takes a millisecond; a hostile pattern would hold the engine for minutes.
_SEARCH_SECONDS = 2.0

_EXCLUDED = np.float32(-np.inf)


class Sampler:
    """One job's sampling state: random numbers, token history, grammar."""

    def __init__(
        self,
        job: Job,
        *,
        history: Sequence[int],
        eos_ids: frozenset[int],
        decode: Callable[[Sequence[int]], str],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sampling = job.sampling
        self._top_n = job.top_n_tokens
        self._random = np.random.default_rng(job.sampling.seed)
        self._history = list(history)
        self._made: list[int] = []
        self._guide = Guide(job.grammar) if job.grammar is not None else None
        self._search_left = _SEARCH_SECONDS
        self._clock = clock
        self._eos_ids = eos_ids
        self._decode = decode

    def next_token(self, logits: Logits) -> tuple[int, float, list[tuple[int, float]]]:
        """The next token, its log-probability, and the most likely ones with theirs.

        Raises `EngineError` when no token keeps to the grammar, or finding one takes too long.
        """
        scores = process_logits(logits, self._sampling, self._history)
        if self._guide is not None:
            started = self._clock()
            scores = self._mask_by_grammar(scores, started + self._search_left)
            self._search_left -= self._clock() - started
        logprobs = log_softmax(scores)
        if self._sampling.samples:
            token = int(self._random.choice(len(logprobs), p=_probabilities(logprobs)))
        else:
            token = int(np.argmax(scores))
        top: list[tuple[int, float]] = []
        if self._top_n:
            # As TGI: log-probabilities of the model itself, not of the processed scores.
            plain = log_softmax(logits)
            best = np.argsort(-plain, kind="stable")[: self._top_n]
            top = [(int(one), float(plain[one])) for one in best]
        self._history.append(token)
        self._made.append(token)
        return token, float(logprobs[token]), top

    def _mask_by_grammar(self, scores: Logits, deadline: float) -> Logits:
        """The scores with minus infinity for what the grammar doesn't allow next.

        Candidates are tried from the most likely down. When greedy, the first that is allowed is
        enough; when sampling, those that hold 99.9 % of the probability are tried.
        """
        assert self._guide is not None
        allowed = np.full_like(scores, _EXCLUDED)
        seen = 0.0
        probabilities = np.exp(log_softmax(scores))
        found = False
        for candidate in np.argsort(-scores, kind="stable")[:_CANDIDATES]:
            token = int(candidate)
            if scores[token] == _EXCLUDED:
                break
            if self._clock() > deadline:
                raise EngineError("the grammar takes too long to match")
            seen += float(probabilities[token])
            if self._is_allowed(token):
                allowed[token] = scores[token]
                found = True
                if not self._sampling.samples:
                    break
            if found and seen > 0.999:
                break
        if not found:
            raise EngineError("no token of the model keeps to the grammar")
        return allowed

    def _is_allowed(self, token: int) -> bool:
        assert self._guide is not None
        if token in self._eos_ids:
            return self._guide.complete(self._decode(self._made))
        text = self._decode([*self._made, token])
        # A token that adds no text would be allowed again and again.
        return text != self._decode(self._made) and self._guide.allows(text)


def log_softmax(scores: Logits) -> Logits:
    """Log-probabilities of scores."""
    shifted = scores - np.max(scores)
    result: Logits = shifted - np.log(np.sum(np.exp(shifted)))
    return result


def _probabilities(logprobs: Logits) -> npt.NDArray[np.float64]:
    probabilities = np.exp(logprobs.astype(np.float64))
    normal: npt.NDArray[np.float64] = probabilities / probabilities.sum()
    return normal


def process_logits(logits: Logits, sampling: Sampling, history: Sequence[int]) -> Logits:
    """Scores after all logits processors; minus infinity for excluded tokens."""
    scores = np.array(logits, dtype=np.float32)
    if history and (sampling.repetition_penalty != 1.0 or sampling.frequency_penalty != 0.0):
        ids, counts = np.unique(np.asarray(history), return_counts=True)
        known = scores[ids]
        penalty = np.float32(sampling.repetition_penalty)
        known = np.where(known < 0, known * penalty, known / penalty)
        scores[ids] = known - np.float32(sampling.frequency_penalty) * (
            counts / len(history)
        ).astype(np.float32)
    if sampling.temperature != 1.0:
        # Shifted so that the best is 0: a tiny temperature then overflows to minus infinity only.
        with np.errstate(over="ignore"):
            scores = (scores - np.max(scores)) / np.float32(sampling.temperature)
    if 0 < sampling.top_k < len(scores):
        least = np.partition(scores, -sampling.top_k)[-sampling.top_k]
        scores = np.where(scores < least, _EXCLUDED, scores)
    if sampling.top_p < 1.0:
        order = np.argsort(scores, kind="stable")
        below = np.cumsum(np.exp(log_softmax(scores[order])))
        cut = order[below <= 1.0 - sampling.top_p]
        scores[cut[cut != order[-1]]] = _EXCLUDED
    if sampling.typical_p < 1.0:
        scores = _typical(scores, sampling.typical_p)
    return scores


def _typical(scores: Logits, mass: float) -> Logits:
    """Keep the tokens whose surprise is nearest the entropy (arXiv 2202.00666)."""
    logprobs = log_softmax(scores)
    probabilities = np.exp(logprobs)
    known = probabilities > 0
    entropy = -np.sum(logprobs[known] * probabilities[known])
    order = np.argsort(np.abs(-logprobs - entropy), kind="stable")
    last = int(np.sum(np.cumsum(probabilities[order]) < mass))
    kept = np.full_like(scores, _EXCLUDED)
    keep = order[: last + 1]
    kept[keep] = scores[keep]
    return kept
