"""Answers of a model in training, and the logits behind them."""

import numpy as np
import pytest
import torch
from transformers import BartForConditionalGeneration

from training import vocabulary
from training.data import Example
from training.leanings import CHOICES, Labels
from training.predict import StepLogits, answers, autocast, places
from training.targets import Encoder


def test_answers_step_by_step_are_those_of_decoding(
    encoder: Encoder, model: BartForConditionalGeneration
) -> None:
    """Posts of unlike lengths in one batch: padding changes nothing."""
    items = encoder.items([Example("E-c", text) for text in ("a", "b c d e f", "g h " * 9)], 0)
    task = Labels(StepLogits(model, encoder, items, places(CHOICES)), [()] * len(items))
    # Answers of other tasks are kept out of the comparison, as training would.
    apart = dict.fromkeys(set(vocabulary.ANSWERS) - set(CHOICES), -1e4)
    whole = answers(model, encoder, items, apart)
    stepwise = task.answers(np.zeros(len(CHOICES)), range(len(items)))
    for mine, theirs in zip(stepwise, whole, strict=True):
        written = [vocabulary.ANSWERS[place] for place in theirs]
        labels = []
        for answer in written:
            if answer not in CHOICES[:-2] or answer in labels:
                break
            labels.append(answer)
        assert mine == set(labels)
    assert any(stepwise)


def test_logits_of_a_post_do_not_depend_on_its_company(
    encoder: Encoder, model: BartForConditionalGeneration
) -> None:
    items = encoder.items([Example("E-c", "a b"), Example("E-c", "c d e f g h")], 0)
    logits = StepLogits(model, encoder, items, places(CHOICES))
    together = logits([(0, ()), (1, (2, 4)), (1, ())])
    assert np.allclose(together[0], logits([(0, ())])[0], atol=1e-2)
    assert np.allclose(together[1], logits([(1, (2, 4))])[0], atol=1e-2)
    assert not np.allclose(together[1], together[2], atol=1e-2)


@pytest.mark.parametrize(
    ("capabilities", "narrow"),
    [({"avx2": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)],
)
def test_bfloat16_is_used_only_where_the_processor_has_it(
    capabilities: dict[str, bool], narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    with autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if narrow else torch.float32)
