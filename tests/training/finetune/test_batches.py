"""Which tokens the loss looks at, and that padding changes nothing."""

from array import array
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from tests.training.finetune import tiny
from training.finetune import base as bases
from training.finetune.batches import IGNORED, AnswerLoss, Batcher, Decoder
from training.finetune.encoding import Encoder, Example
from training.finetune.plan import Plan
from training.finetune.records import Record

LONG = Example(array("i", [5, 6, 7]), array("i", [8, 9, 2]))
SHORT = Example(array("i", [5]), array("i", [8, 2]))


def test_a_decoder_only_models_labels_are_the_answer_and_eos_padded_on_the_right() -> None:
    batch = Batcher(pad_id=1)([LONG, SHORT])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 2], [5, 8, 2, 1, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1] * 6, [1, 1, 1, 0, 0, 0]]
    no = IGNORED
    assert batch["labels"].tolist() == [[no, no, no, 8, 9, 2], [no, 8, 2, no, no, no]]


def test_and_on_the_left() -> None:
    batch = Batcher(pad_id=1, side="left")([LONG, SHORT])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 2], [1, 1, 1, 5, 8, 2]]
    assert batch["attention_mask"].tolist() == [[1] * 6, [0, 0, 0, 1, 1, 1]]
    no = IGNORED
    assert batch["labels"].tolist() == [[no, no, no, 8, 9, 2], [no, no, no, no, 8, 2]]


def test_an_encoder_decoder_writes_the_answer_behind_its_start_and_forced_tokens() -> None:
    decoder = Decoder(start_id=2, forced_id=0)
    batch = Batcher(pad_id=1, decoder=decoder)([LONG, SHORT])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [5, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["decoder_input_ids"].tolist() == [[2, 0, 8, 9], [2, 0, 8, 1]]
    assert batch["labels"].tolist() == [[IGNORED, 8, 9, 2], [IGNORED, 8, 2, IGNORED]]


@pytest.mark.parametrize("shifted", [True, False])
def test_the_loss_is_the_mean_over_the_answers_tokens(shifted: bool) -> None:
    torch.manual_seed(1)
    logits = torch.randn(2, 4, 11)
    labels = torch.tensor([[IGNORED, 3, 5, 2], [IGNORED, IGNORED, 7, 2]])
    log_probabilities = logits.log_softmax(-1)
    back = 1 if shifted else 0
    each = [
        -float(log_probabilities[row, column - back, label])
        for row, line in enumerate(labels.tolist())
        for column, label in enumerate(line)
        if label != IGNORED
    ]
    outputs: Any = type("Outputs", (), {"logits": logits})
    loss = AnswerLoss(shifted=shifted)
    assert float(loss(outputs, labels)) == pytest.approx(sum(each) / 5, rel=1e-5)
    assert float(loss(outputs, labels, 10)) == pytest.approx(sum(each) / 10, rel=1e-5)


@pytest.mark.parametrize("kind", tiny.KINDS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_loss(kind: str, side: Literal["left", "right"], tmp_path: Path) -> None:
    """Masks and positions are right in each architecture: a batch loses what its rows lose."""
    base = bases.load(str(tiny.save(tmp_path, kind)), Plan(device="cpu"))
    encoder = Encoder(
        base.tokenizer.backend_tokenizer,
        eos_id=base.eos_id,
        wrapper=base.wrapper,
        limits=base.limits,
    )
    texts = ["sea", "rain " * 20, "a town by the sea"]
    examples = encoder.encode([Record(text, "0.75") for text in texts]).examples
    batcher = Batcher(pad_id=base.batcher.pad_id, side=side, decoder=base.batcher.decoder)
    loss = AnswerLoss(shifted=base.batcher.decoder is None)

    def of(rows: list[Example]) -> float:
        batch = batcher(rows)
        labels = batch.pop("labels")
        with torch.no_grad():
            return float(loss(base.model.eval()(**batch), labels))

    alone = [of([one]) for one in examples]
    assert len({round(one, 4) for one in alone}) == 3
    assert of(examples) == pytest.approx(sum(alone) / 3, abs=1e-5)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_the_loss_is_that_of_transformers_own_where_it_has_one(kind: str, tmp_path: Path) -> None:
    base = bases.load(str(tiny.save(tmp_path, kind)), Plan(device="cpu"))
    batch = base.batcher([LONG, SHORT])
    with torch.no_grad():
        theirs = float(base.model.eval()(**batch).loss)
        labels = batch.pop("labels")
        ours = AnswerLoss(shifted=base.batcher.decoder is None)(base.model(**batch), labels)
    assert float(ours) == pytest.approx(theirs, rel=1e-5)
