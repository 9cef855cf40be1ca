"""Greedy answers of the model in training, without the detour over text.

The same greedy decoding as `generate`, over the answer space alone; used for the dev scores
after each epoch. Shipped models are scored by full prompts instead (`training.ask`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import BartForConditionalGeneration

from training import vocabulary
from training.data import Example
from training.evaluation.metrics import f1, jaccard, pearson
from training.targets import Encoder, Item

_LONGEST_ANSWER = 13  # eleven labels, the full stop, the end
_BATCH = 128


def autocast() -> torch.autocast:
    """bfloat16 for the matrices where the processor has it, float32 elsewhere.

    A processor without it only imitates it: on one with AVX2 alone, training took nine times as
    long in bfloat16 as in float32.
    """
    capabilities = torch.cpu.get_capabilities()
    native = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return torch.autocast("cpu", torch.bfloat16, enabled=native)


def places(answers_: Sequence[str]) -> list[int]:
    """Where some of `vocabulary.ANSWERS` are in the answer space."""
    return [vocabulary.ANSWERS.index(answer) for answer in answers_]


def pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Rows of ids as one matrix, padded with 0 (BERT's [PAD]) at the end, and its mask."""
    width = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    return ids, mask


@torch.no_grad()
def answers(
    model: BartForConditionalGeneration,
    encoder: Encoder,
    items: Sequence[Item],
    leanings: Mapping[str, float],
) -> list[list[int]]:
    """Each item's greedy answer as places in the answer space, without the end.

    `leanings` are added to the logits of some answers.
    """
    leaning = torch.tensor([leanings.get(answer, 0.0) for answer in (*vocabulary.ANSWERS, "")])
    model.train(mode=False)
    space = torch.tensor(encoder.space)
    result: list[list[int]] = [[] for _ in items]
    for batch in _alike([len(item.prompt) for item in items]):
        ids, mask = pad([items[number].prompt for number in batch])
        with autocast():
            hidden = model.model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            written = torch.full((len(batch), 1), encoder.start_id)
            open_rows = torch.ones(len(batch), dtype=torch.bool)
            for _ in range(_LONGEST_ANSWER):
                state = model.model.decoder(
                    input_ids=written,
                    encoder_hidden_states=hidden,
                    encoder_attention_mask=mask,
                    use_cache=False,
                ).last_hidden_state[:, -1]
                logits = functional.linear(state, model.model.shared.weight[space])
                best = (logits[:, : encoder.end + 1].float() + leaning).argmax(-1)
                for row, place in enumerate(best.tolist()):
                    if open_rows[row] and place != encoder.end:
                        result[batch[row]].append(place)
                open_rows &= best != encoder.end
                if not open_rows.any():
                    break
                written = torch.cat([written, space[best][:, None]], 1)
    return result


class StepLogits:
    """The logits with which answers go on, over some of the answer space: `choices` are places.

    Called with steps (an item's number, the indices of the choices written so far), gives an array
    of steps x choices. Keeps what the encoder made of every item.
    """

    @torch.no_grad()
    def __init__(
        self,
        model: BartForConditionalGeneration,
        encoder: Encoder,
        items: Sequence[Item],
        choices: Sequence[int],
    ) -> None:
        model.train(mode=False)
        self._model, self._start = model, encoder.start_id
        self._ids = torch.tensor([encoder.space[place] for place in choices])
        self._hidden: list[Tensor] = [torch.empty(0)] * len(items)
        for batch in _alike([len(item.prompt) for item in items]):
            ids, mask = pad([items[number].prompt for number in batch])
            with autocast():
                hidden = model.model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            for number, row in zip(batch, hidden.float(), strict=True):
                self._hidden[number] = row[: len(items[number].prompt)]

    @torch.no_grad()
    def __call__(self, steps: Sequence[tuple[int, tuple[int, ...]]]) -> NDArray[np.float64]:
        """The logits of each step, in order."""
        result = np.zeros((len(steps), len(self._ids)))
        for length in {len(prefix) for _, prefix in steps}:
            mine = [number for number, (_, prefix) in enumerate(steps) if len(prefix) == length]
            sizes = [len(self._hidden[steps[number][0]]) for number in mine]
            for batch in _alike(sizes):
                numbers = [mine[place] for place in batch]
                result[numbers] = self._logits([steps[number] for number in numbers])
        return result

    def _logits(self, steps: Sequence[tuple[int, tuple[int, ...]]]) -> NDArray[np.float64]:
        hidden = pad_sequence([self._hidden[item] for item, _ in steps], batch_first=True)
        _, mask = pad([[1] * len(self._hidden[item]) for item, _ in steps])
        prefixes = torch.tensor([prefix for _, prefix in steps], dtype=torch.long)
        start = torch.full((len(steps), 1), self._start)
        with autocast():
            state = self._model.model.decoder(
                input_ids=torch.cat([start, self._ids[prefixes]], 1),
                encoder_hidden_states=hidden,
                encoder_attention_mask=mask,
                use_cache=False,
            ).last_hidden_state[:, -1]
            logits = functional.linear(state, self._model.model.shared.weight[self._ids])
        found: NDArray[np.float64] = logits.double().numpy()
        return found


def _alike(sizes: Sequence[int]) -> Iterator[list[int]]:
    """The numbers of all rows, in batches of like sizes."""
    order = sorted(range(len(sizes)), key=lambda number: sizes[number])
    for first in range(0, len(order), _BATCH):
        yield order[first : first + _BATCH]


def _value(places: Sequence[int], example: Example) -> float:
    """The number or class that an answer says; the middle of the scale where it says none."""
    text = vocabulary.ANSWERS[places[0]] if places else ""
    try:
        return float(text.partition(":")[0])
    except ValueError:
        return 0.5 if example.task.endswith("-reg") else 1.5 if example.emotion else 0.0


def scores(examples: Sequence[Example], given: Sequence[Sequence[int]]) -> dict[str, float]:
    """The benchmark's scores of greedy answers."""
    result: dict[str, float] = {}
    for task in ("EI-reg", "EI-oc", "V-reg", "V-oc"):
        values = []
        for emotion in vocabulary.EMOTIONS if task.startswith("EI") else ("",):
            pairs = [
                (_value(places, one), one.score if task.endswith("-reg") else float(one.level))
                for one, places in zip(examples, given, strict=True)
                if one.task == task and one.emotion == emotion
            ]
            values.append(pearson([mine for mine, _ in pairs], [gold for _, gold in pairs]))
        result[task] = sum(values) / len(values)
    labels = [
        (
            {vocabulary.ANSWERS[place].removeprefix(vocabulary.SEPARATOR) for place in places}
            & set(vocabulary.LABELS),
            set(one.labels),
        )
        for one, places in zip(examples, given, strict=True)
        if one.task == "E-c"
    ]
    mine, gold = [pair[0] for pair in labels], [pair[1] for pair in labels]
    result["E-c"] = jaccard(mine, gold)
    result["E-c micro-F1"], result["E-c macro-F1"] = f1(mine, gold, vocabulary.LABELS)
    return result
