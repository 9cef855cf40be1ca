"""An engine with the fixed answers of the stand-in shard that the contract was recorded with."""

from __future__ import annotations

import re
import threading
from collections.abc import Hashable, Sequence

from infra.tgi.engine import Encoded, EngineInfo, Finish, Job, PrefillToken
from infra.tgi.engines.answer import Answer
from infra.tgi.engines.grammar import Guide
from infra.tgi.errors import EngineError

_ANSWERS = {
    "@stoptest": ["one", " S", "TOP", " two", " S", "TOP", " three"],
    "@straddle": [
        *("f", "irst", ".", "\n", "\n", "second", " (", "a", ")", ".", "\n", "\n", "third")
    ],
    "@unicode": ["c", "af", "é", " ", "😀", " ", "你", "好"],
    "intensity": ["0", ".", "7", "3", "4"],
    "sentiment": ["-", "1"],
    "": ["j", "o", "y", ",", " opt", "im", "ism", "."],
}
_BOS, _EOS = 1, 2


_PIECE = re.compile(r"\w+|\s+(?=\S)\S?\w*|\S|\s+$")


class StandIn:
    """Answers by what the prompt contains; holds every batch back while `gate` is clear."""

    def __init__(self, info: EngineInfo | None = None) -> None:
        self.info = info or EngineInfo(
            "model", max_input_tokens=4096, max_total_tokens=8192, max_new_tokens=4096
        )
        pieces = {piece for answer in _ANSWERS.values() for piece in answer}
        self._texts = {_BOS: "<s>", _EOS: "</s>"}
        self._texts.update(enumerate(sorted(pieces), start=10))
        self._ids = {text: index for index, text in self._texts.items()}
        self._words: dict[str, int] = {}
        self._lock = threading.Lock()
        self.eos_ids = frozenset({_EOS})
        self.special_ids = frozenset({_BOS, _EOS})
        self.batches: list[int] = []
        self.steps = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.failing: BaseException | None = None
        self.closed = False

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Encoded]:
        return [self._encode(text, add_special_tokens) for text in texts]

    def _encode(self, text: str, add_special_tokens: bool) -> Encoded:
        ids, offsets = ([_BOS], [(0, 0)]) if add_special_tokens else ([], [])
        with self._lock:
            for match in _PIECE.finditer(text):
                word = match.group().strip()
                ids.append(self._words.setdefault(word, 1000 + len(self._words)))
                offsets.append(match.span())
        return Encoded(ids, offsets)

    def decode(self, ids: Sequence[int], *, skip_special: bool) -> str:
        words = {index: word for word, index in self._words.items()}
        return "".join(
            self._texts.get(one, words.get(one, ""))
            for one in ids
            if not (skip_special and one in self.special_ids)
        )

    def check_grammar(self, pattern: str) -> None:
        Guide(pattern)

    def batch_key(self, job: Job) -> Hashable:
        del job
        return 0

    def generate(self, jobs: Sequence[Job], finish: Finish) -> None:
        self.batches.append(len(jobs))
        self.entered.release()
        self.gate.wait(timeout=30)
        if self.failing is not None:
            raise self.failing
        for job in jobs:
            self._answer(job, finish)

    def _answer(self, job: Job, finish: Finish) -> None:
        answer = Answer(job, self)
        if job.grammar is not None:
            try:
                Guide(job.grammar)
            except EngineError as error:
                finish(job, error)
                return
        prompt = self._prompt(job.ids)
        pieces = next(found for asked, found in _ANSWERS.items() if asked in prompt)
        for token in (*(self._ids[piece] for piece in pieces), _EOS):
            self.steps += 1
            top = [(token, -0.125), (10, -1.125), (11, -2.125)][: job.top_n_tokens]
            if answer.advance(token, -0.125, top):
                break
        if job.want_prefill:
            answer.prefill = [PrefillToken(one, "", None) for one in job.ids]
        finish(job, answer.generation())

    def _prompt(self, ids: Sequence[int]) -> str:
        words = {index: word for word, index in self._words.items()}
        return "".join(words.get(one, "") for one in ids)

    def close(self) -> None:
        self.closed = True
