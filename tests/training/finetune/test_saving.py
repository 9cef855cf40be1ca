"""A disk that is full, and a memory that is too small: a sentence each, and nothing is lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from tests.training.finetune import tiny
from training.finetune import saving
from training.finetune.data import Data
from training.finetune.errors import FinetuneError
from training.finetune.plan import Plan
from training.finetune.progress import Progress
from training.finetune.run import train
from training.finetune.trainer import last_checkpoint

DATA = Data(list(tiny.task(24)), list(tiny.task(6, seed=9)))
FEW = Plan(batch=4, device_batch=2, learning_rate=1e-3, max_steps=6, evaluations=2, device="cpu")
FULL = os.strerror(errno.ENOSPC)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, FULL),
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
        RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 118528 vs 118416"),
    ],
)
def test_a_full_disk_is_a_sentence_whoever_wrote(error: Exception, tmp_path: Path) -> None:
    words = f"{FULL}; what was kept before is whole"
    with pytest.raises(FinetuneError, match=words), saving.writing(tmp_path):
        raise error


def test_what_is_no_fault_of_the_disk_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), saving.writing(tmp_path):
        raise RuntimeError("shapes")
    with pytest.raises(FinetuneError, match=r"^lower it$"), saving.writing(tmp_path):
        raise FinetuneError("lower it")


def test_a_run_whose_disk_was_full_goes_on_from_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, out = str(tiny.save(tmp_path / "base", "opt")), tmp_path / "out"
    whole, calls = torch.save, 0

    def fills_up(*what: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if last_checkpoint(tmp_path / "out.work") is not None:
            raise OSError(errno.ENOSPC, FULL)
        whole(*what, **more)

    with monkeypatch.context() as full:
        full.setattr(torch, "save", fills_up)
        with pytest.raises(FinetuneError, match=FULL):
            train(base, DATA, FEW, out)
    kept = last_checkpoint(tmp_path / "out.work")
    assert calls
    assert kept is not None
    told = Told()
    train(base, DATA, FEW, out, progress=told)
    assert f"going on from {kept}" in told.said
    train(base, DATA, FEW, tmp_path / "at_once")
    one, other = tiny.weights(out), tiny.weights(tmp_path / "at_once")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_model_that_has_no_room_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, out = str(tiny.save(tmp_path / "base", "opt")), tmp_path / "out"

    def full(_base: object, partly: Path, _more: object) -> None:
        (partly / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, FULL)

    with monkeypatch.context() as patched:
        patched.setattr(saving, "_write", full)
        with pytest.raises(FinetuneError, match=f"{out}: {FULL}"):
            train(base, DATA, FEW, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "out.work"]
    assert train(base, DATA, FEW, out).steps == 6


def test_a_memory_that_is_too_small_says_what_to_lower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    base = str(tiny.save(tmp_path / "base", "opt"))
    monkeypatch.setattr("transformers.Trainer.training_step", too_much)
    with pytest.raises(FinetuneError, match=r"too small for 2 records .* lower --device-batch"):
        train(base, DATA, FEW, tmp_path / "out")


class Told(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def began(self, text: str) -> None:
        self.said.append(text)
