"""Hyper-parameters: the authors' by default, and what can't work is refused."""

from typing import Any

import pytest

from training.finetune.errors import FinetuneError
from training.finetune.plan import Plan


def test_the_defaults_are_the_authors() -> None:
    plan = Plan()
    assert (plan.epochs, plan.batch, plan.rate, plan.warmup) == (3, 256, 1e-6, 0.03)
    assert (plan.weight_decay, plan.max_tokens, plan.seed) == (1e-5, 2048, 123)
    assert (plan.evaluations, plan.patience) == (4, 5)
    assert not plan.no_gradient_checkpointing


def test_adapters_get_a_learning_rate_of_their_own() -> None:
    assert Plan(method="lora").rate == 2e-4
    assert Plan(method="lora", learning_rate=1e-6).rate == 1e-6
    assert Plan().as_dict()["learning_rate"] == 1e-6


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"epochs": 0}, "--epochs 0"),
        ({"batch": 256, "device_batch": 24}, "--batch 256 is no multiple of --device-batch 24"),
        ({"learning_rate": 0.0}, "--learning-rate"),
        ({"max_steps": 0}, "--max-steps"),
        ({"warmup": 1.0}, "--warmup"),
        ({"lora_dropout": -0.1}, "--lora-dropout"),
        ({"patience": -1}, "--patience"),
    ],
)
def test_what_can_not_work_is_refused_by_its_flag(values: dict[str, Any], flag: str) -> None:
    with pytest.raises(FinetuneError, match=flag):
        Plan(**values)


def test_a_batch_smaller_than_the_devices_is_put_there_whole() -> None:
    assert Plan(batch=8).on_device == 8
