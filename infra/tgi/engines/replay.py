"""The replay engine: answers prompts from the recorded answers of a real model.

So a whole pipeline can be scored against a model that this machine can't run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from pathlib import Path

from infra.tgi.engine import Encoded, EngineInfo, Finish, Job, PrefillToken
from infra.tgi.engines.answer import Answer
from infra.tgi.engines.recording import Recording
from infra.tgi.errors import EngineError, PromptRefusedError

#: Characters of one token. English has about four in the models' own vocabularies.
_CHARACTERS = 3
_BITS = 21  # a Unicode code point plus one, so that 0 means no character
_END = 0

#: Tokens of prompt and answer: as long as the consumer's longest prompt for a 7B model.
_POSITIONS = 4096


class PackedVocabulary:
    """Tokens that stand for three characters each and hold them in their id: nothing to learn."""

    eos_ids = frozenset({_END})
    special_ids = frozenset({_END})

    def encode(self, text: str) -> Encoded:
        """A text as tokens."""
        starts = range(0, len(text), _CHARACTERS)
        pieces = [text[start : start + _CHARACTERS] for start in starts]
        ids = [
            sum((ord(character) + 1) << (_BITS * place) for place, character in enumerate(piece))
            for piece in pieces
        ]
        offsets = [(start, start + len(piece)) for start, piece in zip(starts, pieces, strict=True)]
        return Encoded(ids, offsets)

    def decode(self, ids: Sequence[int], *, skip_special: bool) -> str:
        """The text of some tokens."""
        characters: list[str] = []
        for one in ids:
            if one == _END and not skip_special:
                characters.append("</s>")
            rest = one
            while rest:
                characters.append(chr((rest & ((1 << _BITS) - 1)) - 1))
                rest >>= _BITS
        return "".join(characters)


class ReplayEngine:
    """Answers with recorded answers; a prompt that has none is refused (422).

    How a job wants its tokens sampled is ignored: what was recorded was sampled once.
    """

    def __init__(self, recording: Recording, *, revision: str | None = None) -> None:
        self._recording = recording
        self._vocabulary = PackedVocabulary()
        self._info = EngineInfo(
            model_id=recording.model,
            model_sha=revision,
            pipeline_tag="text-generation",
            max_input_tokens=_POSITIONS - 1,
            max_total_tokens=_POSITIONS,
            max_new_tokens=_POSITIONS - 1,
            supports_grammar=False,
        )

    @classmethod
    def load(cls, files: Sequence[Path], *, model: str | None = None) -> ReplayEngine:
        """Read the recorded answers of a model; see `Recording.load`. Raises `StartError`."""
        recording = Recording.load(files, model)
        digest = hashlib.sha256()
        for file in files:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return cls(recording, revision=digest.hexdigest()[:12])

    @property
    def info(self) -> EngineInfo:
        """What it is and can do."""
        return self._info

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Encoded]:
        """Tokenize; there are no special tokens."""
        del add_special_tokens
        return [self._vocabulary.encode(text) for text in texts]

    def check_grammar(self, pattern: str) -> None:
        """Refuse: what was recorded keeps to no grammar. Raises `EngineError`."""
        del pattern
        raise EngineError("recorded answers can't be held to a grammar")

    def batch_key(self, job: Job) -> Hashable:
        """All jobs share passes."""
        del job
        return 0

    def generate(self, jobs: Sequence[Job], finish: Finish) -> None:
        """Answer a batch."""
        for job in jobs:
            text = self._recording.answer(self._vocabulary.decode(job.ids, skip_special=True))
            if text is None:
                finish(job, PromptRefusedError("no answer to this prompt was recorded"))
                continue
            answer = Answer(job, self._vocabulary)
            for token in (*self._vocabulary.encode(text).ids, _END):
                if answer.advance(token, 0.0):
                    break
            if job.want_prefill:
                answer.prefill = [
                    PrefillToken(one, self._vocabulary.decode([one], skip_special=False), None)
                    for one in job.ids
                ]
            finish(job, answer.generation())

    def close(self) -> None:
        """Nothing to free."""
