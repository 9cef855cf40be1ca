"""Greedy answers of the model in training, without the detour over text.

The same greedy decoding as `generate`, over the answer space alone; used for the dev scores
after each epoch. Shipped models are scored by full prompts instead (`training.ask`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from transformers import BartForConditionalGeneration

from training import vocabulary
from training.data import Example
from training.evaluation.metrics import f1, jaccard, pearson
from training.targets import Encoder, Item

_LONGEST_ANSWER = 13  # eleven labels, the full stop, the end
_BATCH = 128


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
    order = sorted(range(len(items)), key=lambda number: len(items[number].prompt))
    for first in range(0, len(order), _BATCH):
        batch = order[first : first + _BATCH]
        ids, mask = pad([items[number].prompt for number in batch])
        with torch.autocast("cpu", torch.bfloat16):
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
