"""One fine-tuning from its data to the folder that is served.

In the work folder lie the plan (`run.json`), the history (`metrics.jsonl`, `metrics.svg`) and the
checkpoints; a run that ended early, however it ended, is gone on with after the last one, and gives
the weights that it would have given without. The finished model appears all at once.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import torch

from emollm.prompts import Wrapper
from training.finetune import base as bases
from training.finetune import history, saving
from training.finetune.data import Data
from training.finetune.encoding import Encoder
from training.finetune.errors import FinetuneError
from training.finetune.plan import Plan
from training.finetune.progress import Progress
from training.finetune.trainer import Interruption, last_checkpoint, make_trainer, train_on

_PLAN: Final = "run.json"
_LOCK: Final = "lock"
RESULT: Final = "training.json"
"""The result and all settings, in the model's folder."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run."""

    model: str
    """The folder."""
    base: str
    family: str
    wrapper: str
    steps: int
    """Updates that were made."""
    epochs: float
    best_step: int | None
    """After how many updates the weights were taken; None where there is no dev set."""
    dev_loss: float | None
    """Their loss on dev."""
    stopped_early: bool
    train_records: int
    dev_records: int
    shortened: int
    """Records whose post was cut to fit."""
    left_out: int
    """Records that didn't fit at all."""
    trained_parameters: int
    parameters: int
    plan: dict[str, Any]
    data: str
    """Digest of the records."""


def finished(
    name: str, data: Data, plan: Plan, out: Path, wrapper: Wrapper | None = None
) -> Result | None:
    """Give the result of this very run, where `out` has it already.

    Raises:
        FinetuneError: `out` is something else.
    """
    if not out.exists():
        return None
    try:
        found = msgspec.json.decode((out / RESULT).read_bytes(), type=Result)
    except (OSError, msgspec.DecodeError):
        found = None
    same = found is not None and (found.base, found.data) == (name, data.digest)
    if found is None or not same or found.plan != plan.as_dict():
        raise FinetuneError(f"{out} is there already: remove it, or name another folder")
    if wrapper is not None and found.wrapper != wrapper.name.lower():
        raise FinetuneError(
            f"{out} was trained in the wrapper {found.wrapper}: name another folder"
        )
    return found


def train(
    name: str,
    data: Data,
    plan: Plan,
    out: Path,
    *,
    work: Path | None = None,
    wrapper: Wrapper | None = None,
    keep_checkpoints: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Fine-tune the model `name` (a folder, a name on the hub) and write it to `out`.

    What is in `work` (`out` with `.work`, where None) is gone on with; afterwards it is removed,
    unless `keep_checkpoints` is true.

    A model that this very run has finished is left as it is.

    Raises:
        FinetuneError: `out` or `work` is of another run or can't be written, another process trains
            there, or the model can't be trained so.
        training.finetune.trainer.Interrupted: a signal came; the same call goes on.
    """
    work = work or out.absolute().with_name(f"{out.absolute().name}.work")
    if (before := finished(name, data, plan, out, wrapper)) is not None:
        return before
    with _alone(work):
        if (before := finished(name, data, plan, out, wrapper)) is not None:
            return before  # by a run that ended just now
        result = _train(name, data, plan, out, work, wrapper, progress or Progress())
        if not keep_checkpoints:
            shutil.rmtree(work)
    return result


def _train(  # noqa: PLR0917  the arguments of `train`, in its order
    name: str,
    data: Data,
    plan: Plan,
    out: Path,
    work: Path,
    wrapper: Wrapper | None,
    progress: Progress,
) -> Result:
    with saving.writing(work):
        _claim(work, name, data, plan, wrapper)
    progress.began(f"loading {name}")
    base = bases.load(name, plan, wrapper)
    encoder = Encoder(
        base.tokenizer.backend_tokenizer,
        eos_id=base.eos_id,
        wrapper=base.wrapper,
        limits=base.limits,
    )
    whole = len(data.train) + len(data.dev)
    taught = encoder.encode(data.train, lambda done: progress.tokenized(done, whole))
    held_out = encoder.encode(
        data.dev, lambda done: progress.tokenized(len(data.train) + done, whole)
    )
    interruption = Interruption()
    trainer = make_trainer(
        base,
        plan,
        taught.examples,
        held_out.examples,
        work,
        interruption=interruption,
        progress=progress.updated,
    )
    checkpoint = last_checkpoint(work)
    progress.began(f"going on from {checkpoint}" if checkpoint else "training")
    try:
        with saving.writing(work), interruption.watched(progress.stopping):
            train_on(trainer, checkpoint)
    except torch.OutOfMemoryError as error:
        raise FinetuneError(
            f"the GPU's memory is too small for {plan.on_device} records at a time: lower"
            " --device-batch or --max-tokens, or train adapters (--method lora, lora-4bit)"
        ) from error
    state = trainer.state
    if any(not torch.isfinite(one).all() for one in base.model.parameters()):
        raise FinetuneError(
            "the weights are no numbers any more: lower --learning-rate, and remove"
            f" {work} before the next try"
        )
    parameters = [(one.numel(), one.requires_grad) for one in base.model.parameters()]
    result = Result(
        model=str(out),
        base=name,
        family=base.family,
        wrapper=base.wrapper.name.lower(),
        steps=state.global_step,
        epochs=round(state.epoch, 4),
        best_step=state.best_global_step if held_out.examples else None,
        dev_loss=state.best_metric if held_out.examples else None,
        stopped_early=state.global_step < state.max_steps,
        train_records=len(taught.examples),
        dev_records=len(held_out.examples),
        shortened=taught.shortened + held_out.shortened,
        left_out=taught.left_out + held_out.left_out,
        trained_parameters=sum(size for size, trained in parameters if trained),
        parameters=sum(size for size, _ in parameters),
        plan=plan.as_dict(),
        data=data.digest,
    )
    progress.began(f"writing {out}")
    with saving.writing(work):
        history.write(history.from_log(state.log_history), work)
    names = ("metrics.jsonl", "metrics.svg")
    more = {one: (work / one).read_bytes() for one in names}
    with saving.writing(out):
        saving.save(base, out, {**more, RESULT: saving.to_json(result)})
    return result


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Nobody else trains in the work folder meanwhile; the lock ends with the process.

    Raises:
        FinetuneError: somebody does, or the folder can't be made, or holds something else.
    """
    with saving.writing(work):
        _refuse_others_files(work)
        work.mkdir(parents=True, exist_ok=True)
        lock = (work / _LOCK).open("wb")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FinetuneError(
                f"another run trains in {work}: wait for its end, or name another folder"
            ) from None
        yield


def _refuse_others_files(work: Path) -> None:
    """Refuse a folder that no run made: it would be removed at the end, with all that is in it."""
    if not work.is_dir() or _is_plan(work / _PLAN):
        return
    if any(path.name != _LOCK for path in work.iterdir()):
        raise FinetuneError(
            f"{work} holds other files, and the work folder is removed at the end: name a new one"
            " with --work"
        )


def _is_plan(path: Path) -> bool:
    """Whether it is what `_claim` writes, and no other program's `run.json`."""
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return False
    return isinstance(found, dict) and found.keys() >= {"base", "data", "wrapper", "method"}


def _claim(work: Path, name: str, data: Data, plan: Plan, wrapper: Wrapper | None) -> None:
    """Note in the work folder what is trained; refuse it where it was something else.

    Without a checkpoint nothing was: a run whose base couldn't be loaded may be corrected.
    """
    mine = {
        "base": name,
        "data": data.digest,
        "wrapper": wrapper.name.lower() if wrapper else None,
        **plan.as_dict(),
    }
    path = work / _PLAN
    if path.is_file() and last_checkpoint(work) is not None:
        before = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        if other := [key for key in mine if before.get(key) != mine[key]]:
            raise FinetuneError(
                f"{work} is of a run with another {', '.join(other)}: go on with the same, remove"
                " the folder, or name another with --work"
            )
        return
    path.write_bytes(saving.to_json(mine))
