"""Examples as tensors: padding, masks, and which tokens the loss looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from training.finetune.encoding import Example

IGNORED: Final = -100
"""The label of a token that the loss doesn't look at, as PyTorch's cross-entropy has it."""


class Examples(Dataset[Example]):
    """Examples as PyTorch's loader takes them."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, number: int) -> Example:
        return self._examples[number]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """How an encoder-decoder's answers begin."""

    start_id: int
    """The decoder's first input."""
    forced_id: int | None = None
    """What every answer begins with, unasked (BART's `<s>`): given, and no part of the loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batcher:
    """Makes a batch. Labels are the answer's tokens and EOS, everything else is `IGNORED`."""

    pad_id: int
    """Any token where the model has none for padding: it is masked."""
    side: Literal["left", "right"] = "right"
    """Where a decoder-only model's rows are padded; an encoder's always on the right. The loss is
    the same: masks say what counts, and positions follow from them."""
    decoder: Decoder | None = None
    """For encoder-decoders."""

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Return a batch's tensors, a row an example."""
        if self.decoder is None:
            return self._causal(examples)
        return self._encoder_decoder(examples, self.decoder)

    def _causal(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        ids = [[*one.prompt, *one.answer] for one in examples]
        labels = [[*[IGNORED] * len(one.prompt), *one.answer] for one in examples]
        mask = [[1] * len(row) for row in ids]
        return {
            "input_ids": _matrix(ids, self.pad_id, self.side),
            "attention_mask": _matrix(mask, 0, self.side),
            "labels": _matrix(labels, IGNORED, self.side),
        }

    def _encoder_decoder(self, examples: Sequence[Example], decoder: Decoder) -> dict[str, Tensor]:
        forced = [] if decoder.forced_id is None else [decoder.forced_id]
        written = [[decoder.start_id, *forced, *one.answer[:-1]] for one in examples]
        labels = [[*[IGNORED] * len(forced), *one.answer] for one in examples]
        prompts = [list(one.prompt) for one in examples]
        return {
            "input_ids": _matrix(prompts, self.pad_id, "right"),
            "attention_mask": _matrix([[1] * len(row) for row in prompts], 0, "right"),
            # What lies behind an answer's end is seen by nothing that has a label.
            "decoder_input_ids": _matrix(written, self.pad_id, "right"),
            "labels": _matrix(labels, IGNORED, "right"),
        }


@dataclass(frozen=True, slots=True)
class AnswerLoss:
    """Mean cross-entropy of the answers' tokens, as transformers' Trainer takes it."""

    shifted: bool
    """Whether a row's logits are of the next token (decoder-only), and not of the label's own."""

    def __call__(
        self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Give the loss; `num_items_in_batch` are the labels of all parts of the update's batch."""
        logits: Tensor = outputs.logits
        if self.shifted:
            logits, labels = logits[:, :-1], labels[:, 1:]
        chosen = labels != IGNORED  # only these rows of the vocabulary's width are made float32
        count = chosen.sum() if num_items_in_batch is None else num_items_in_batch
        loss = functional.cross_entropy(logits[chosen].float(), labels[chosen], reduction="sum")
        return loss / count


def _matrix(rows: Sequence[Sequence[int]], fill: int, side: Literal["left", "right"]) -> Tensor:
    width = max(len(row) for row in rows)
    found = torch.full((len(rows), width), fill, dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(len(row)) if side == "right" else slice(width - len(row), None)
        found[number, place] = torch.tensor(list(row), dtype=torch.long)
    return found
