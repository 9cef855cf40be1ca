"""An epoch that was cut off goes on where it was."""

import pytest
from transformers import BartForConditionalGeneration

from training import loop
from training.data import Example
from training.loop import BATCH, Slope, Trainer
from training.targets import Encoder
from training.team import ROUND, Team

ROUNDS = 3


def test_the_rest_of_an_epoch_is_trained_on_and_kept(
    encoder: Encoder,
    model: BartForConditionalGeneration,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each batch once, over both runs; nothing is kept that the epoch's end will keep."""
    monkeypatch.setattr(loop, "_KEEP", 1)
    trained: list[float] = []

    def step(_trainer: Trainer, _batch: object, factor: float) -> float:
        trained.append(factor)
        return 0.0

    monkeypatch.setattr(Trainer, "_step", step)
    team = Team(1, [parameter.shape for parameter in model.parameters()])
    trainer = Trainer(model, encoder, team, 0)
    (item,) = encoder.items([Example("V-reg", "a b c", score=0.5)], 0)
    kept: list[int] = []
    for begin in (0, ROUND):
        trainer.epoch(
            [item] * (BATCH * ROUND * ROUNDS),
            seed=1,
            slope=Slope(1.0, 0.0),
            done=0,
            steps=ROUND * ROUNDS,
            report=lambda _line: None,
            begin=begin,
            keep=kept.append,
        )
    assert kept == [ROUND, 2 * ROUND, 2 * ROUND]
    whole, rest = trained[: ROUND * ROUNDS], trained[ROUND * ROUNDS :]
    assert rest == whole[ROUND:]


def test_one_step_learns(
    encoder: Encoder,
    model: BartForConditionalGeneration,
) -> None:
    """The loss of the same batch is less after some steps."""
    items = encoder.items([Example("V-reg", text, score=0.9) for text in ("a b", "c d e")], 0)
    trainer = Trainer(model, encoder, Team(1, []), 0)
    losses = [trainer._step(items, 1.0) for _ in range(20)]
    assert losses[-1] < losses[0]
