"""Records as token ids: what the model reads, and what it is to write.

A prompt is tokenized as the server will tokenize it: whole, with the tokens that the tokenizer
itself puts around a text, and special tokens that a post has written out are text. The answer is
tokenized by itself, since a server generates it after a finished prompt, and ends with EOS.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tokenizers import Tokenizer

from emollm.instructions import parse
from emollm.prompts import Wrapper, benchmark_text
from training.finetune.errors import FinetuneError
from training.finetune.records import Record

_CHUNK: Final = 2_000
"""Records tokenized together: enough for all cores, little memory."""


@dataclass(frozen=True, slots=True)
class Example:
    """One record in tokens."""

    prompt: array[int]
    answer: array[int]
    """With EOS, the last one."""


@dataclass(slots=True)
class Encoded:
    """Records in tokens."""

    examples: list[Example] = field(default_factory=list)
    shortened: int = 0
    """Records whose post lost words at its end, to leave room for the answer."""
    left_out: int = 0
    """Records that don't fit even so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Tokens that a model holds."""

    prompt: int
    together: int | None
    """Prompt and answer; None where an encoder holds the one and a decoder the other."""
    answer: int


class Encoder:
    """Turns records into tokens, for one model."""

    def __init__(
        self, tokenizer: Tokenizer, *, eos_id: int, wrapper: Wrapper, limits: Limits
    ) -> None:
        """Use a copy of `tokenizer`, so that its own settings stay as they are."""
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True
        self._eos_id = eos_id
        self._before, self._after = wrapper.value
        self._limits = limits
        self._answers: dict[str, array[int]] = {}

    def encode(
        self, records: Sequence[Record], progress: Callable[[int], None] = lambda _: None
    ) -> Encoded:
        """Tokenize records; `progress` is told how many are done.

        Raises:
            FinetuneError: the tokenizer can't write an answer, or no record fits into the model.
        """
        found = Encoded()
        for start in range(0, len(records), _CHUNK):
            chunk = records[start : start + _CHUNK]
            prompts = self._prompts([record.instruction for record in chunk])
            for number, (record, prompt) in enumerate(zip(chunk, prompts, strict=True), start + 1):
                answer = self._answer(record.answer, number)
                room = self._room(len(answer))
                fitting: array[int] | None = prompt
                if len(prompt) > room:
                    fitting = self._shortened(record.instruction, room)
                if fitting is None or len(answer) > self._limits.answer:
                    found.left_out += 1
                    continue
                found.shortened += fitting is not prompt
                found.examples.append(Example(fitting, answer))
            progress(start + len(chunk))
        if records and not found.examples:
            raise FinetuneError(
                f"no record fits into {self._limits.prompt} tokens: raise --max-tokens, or take a"
                " model that holds more"
            )
        return found

    def _prompts(self, instructions: Sequence[str]) -> Iterator[array[int]]:
        whole = [f"{self._before}{one}{self._after}" for one in instructions]
        for encoding in self._tokenizer.encode_batch(whole):
            yield array("i", encoding.ids)

    def _answer(self, text: str, number: int) -> array[int]:
        known = self._answers.get(text)
        if known is None:
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids
            written = self._tokenizer.decode(ids, skip_special_tokens=True)
            if written.strip() != text.strip():
                raise FinetuneError(
                    f"the model's tokenizer can't write the answer of record {number}: decoded, it"
                    " is another text. Use a model with this alphabet in its vocabulary"
                )
            known = self._answers[text] = array("i", [*ids, self._eos_id])
        return known

    def _room(self, answer: int) -> int:
        together = self._limits.together
        return (
            self._limits.prompt if together is None else min(self._limits.prompt, together - answer)
        )

    def _shortened(self, instruction: str, room: int) -> array[int] | None:
        """The prompt with as many words of its post as fit; None where not one does.

        Of an instruction of no known layout the last words are cut: its post is usually there.
        """
        asked = parse(instruction)
        text = asked.text if asked is not None else instruction
        before, _, after = instruction.rpartition(text)
        words = text.split(" ")
        best: array[int] | None = None
        low, high = 1, len(words) - 1
        while low <= high:
            middle = (low + high) // 2
            kept = " ".join(words[:middle])
            kept = benchmark_text(kept) if asked is not None else kept
            (prompt,) = self._prompts([f"{before}{kept}{after}"])
            if len(prompt) <= room:
                best, low = prompt, middle + 1
            else:
                high = middle - 1
        return best
