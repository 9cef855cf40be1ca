"""One answer under construction: its tokens, their texts, and when it ends. For all engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from infra.tgi.engine import FinishReason, Generation, Job, PrefillToken, Token, TopToken

#: TGI keeps this many characters of an answer to look for a stop string at its end.
_STOP_WINDOW = 300

_UNFINISHED = "\ufffd"  # what a decoder writes for the first bytes of a character


class Vocabulary(Protocol):
    """What an answer must know of the model's tokens."""

    eos_ids: frozenset[int]
    special_ids: frozenset[int]

    def decode(self, ids: Sequence[int], *, skip_special: bool) -> str:
        """The text of some tokens."""
        ...


class Answer:
    """A job's answer so far.

    `advance` appends one token and returns whether the answer ends with it. TGI's rules in TGI's
    order: first the length (the end token counts, so a complete answer may have the finish reason
    `length`), then the end token, then a stop string that ends where a token ends, or one line
    break before it (TGI looks for it with the `$` of a regular expression).
    """

    def __init__(self, job: Job, vocabulary: Vocabulary) -> None:
        self.job = job
        self.ids: list[int] = []
        self.finish_reason: FinishReason = "length"
        self.prefill: list[PrefillToken] = []
        self._vocabulary = vocabulary
        self._tokens: list[Token] = []
        self._per_token = job.per_token
        self._tail = ""
        self._prefix = 0
        self._read = 0

    def advance(self, token: int, logprob: float, top: Sequence[tuple[int, float]] = ()) -> bool:
        """Append the next token; True when it is the last."""
        self.ids.append(token)
        text = ""
        if self._per_token:
            text = self._text()
            self._emit(token, text, logprob, top)
        return self._ended(token, text)

    def _ended(self, token: int, text: str) -> bool:
        job = self.job
        if len(self.ids) >= job.max_new_tokens:
            self.finish_reason = "length"
            return True
        if token in self._vocabulary.eos_ids:
            self.finish_reason = "eos_token"
            return True
        if job.stop:
            self._tail = (self._tail + text)[-_STOP_WINDOW:]
            if any(self._tail.endswith((stop, f"{stop}\n")) for stop in job.stop):
                self.finish_reason = "stop_sequence"
                return True
        return job.cancelled

    def _emit(
        self, token: int, text: str, logprob: float, top: Sequence[tuple[int, float]]
    ) -> None:
        special = self._vocabulary.special_ids
        decode = self._vocabulary.decode
        made = Token(
            token,
            text,
            logprob,
            token in special,
            [
                TopToken(one, decode([one], skip_special=False), value, one in special)
                for one, value in top
            ],
        )
        if self.job.want_tokens:
            self._tokens.append(made)
        if self.job.on_token is not None:
            self.job.on_token(made)

    def _text(self) -> str:
        """What the newest token adds; empty until a character's last byte is there."""
        decode = self._vocabulary.decode
        before = decode(self.ids[self._prefix : self._read], skip_special=False)
        after = decode(self.ids[self._prefix :], skip_special=False)
        if len(after) <= len(before) or after.endswith(_UNFINISHED):
            return ""
        self._prefix, self._read = self._read, len(self.ids)
        return after[len(before) :]

    def generation(self) -> Generation:
        """The finished answer."""
        return Generation(
            self._vocabulary.decode(self.ids, skip_special=True),
            self.finish_reason,
            len(self.ids),
            self._tokens,
            self.prefill,
        )
