"""transformers' Trainer, set up so that a run can be interrupted and gone on with exactly."""

from __future__ import annotations

import json
import math
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from typing_extensions import override

from training.finetune import history
from training.finetune.base import Base
from training.finetune.batches import AnswerLoss, Examples
from training.finetune.encoding import Example
from training.finetune.plan import Plan

_STATE: Final = "trainer_state.json"
"""The Trainer's state in a checkpoint, written last."""
_LOGS: Final = 50
"""Lines of training loss between two looks at dev, at most."""


class Interrupted(KeyboardInterrupt):
    """A signal asked to stop, and a checkpoint of that moment was kept."""


class Interruption:
    """SIGINT and SIGTERM while the weights change: the first ends after the update in work."""

    def __init__(self) -> None:
        self.asked = False
        """Whether one came."""

    @contextmanager
    def watched(self, on_first: Callable[[], None]) -> Iterator[None]:
        """Take the signals; the second raises KeyboardInterrupt at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Python hands signals to the main thread alone
            return

        def handle(_number: int, _frame: object) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True
            on_first()

        before = {one: signal.signal(one, handle) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Watch(TrainerCallback):
    """Keeps the history, tells progress, and ends the run when it is asked to."""

    def __init__(
        self, folder: Path, interruption: Interruption, progress: Callable[[int, int], None]
    ) -> None:
        self._folder = folder
        self._interruption = interruption
        self._progress = progress

    @override
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._progress(state.global_step, state.max_steps)
        if self._interruption.asked:
            control.should_save = True

    @override
    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        history.write(history.from_log(state.log_history), self._folder)

    @override
    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # After its last update the run ends by itself: gone on with, it would make more of them.
        over = state.global_step >= state.max_steps or control.should_training_stop
        if self._interruption.asked and not over:
            raise Interrupted


def make_trainer(
    base: Base,
    plan: Plan,
    train: Sequence[Example],
    dev: Sequence[Example],
    folder: Path,
    *,
    interruption: Interruption,
    progress: Callable[[int, int], None],
) -> Any:
    """Make a Trainer whose checkpoints lie in `folder`.

    `progress` is told the updates so far, and in all.
    """
    per_update = plan.batch // plan.on_device
    per_epoch = math.ceil(math.ceil(len(train) / plan.on_device) / per_update)
    steps = plan.max_steps or math.ceil(per_epoch * plan.epochs)
    look = max(1, min(per_epoch, steps) // plan.evaluations)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=plan.epochs,
        max_steps=plan.max_steps or -1,
        per_device_train_batch_size=plan.on_device,
        per_device_eval_batch_size=plan.on_device,
        gradient_accumulation_steps=per_update,
        learning_rate=plan.rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(plan.warmup * steps),
        weight_decay=plan.weight_decay,
        bf16=base.device == "cuda" and _has_bfloat16(),
        logging_steps=max(1, look // _LOGS),
        logging_nan_inf_filter=False,
        eval_strategy="steps" if dev else "no",
        eval_steps=look,
        save_strategy="steps",
        save_steps=look,
        save_total_limit=1,  # and the best one
        load_best_model_at_end=bool(dev),
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        seed=plan.seed,
        data_seed=plan.seed,
        use_cpu=base.device == "cpu",
        prediction_loss_only=True,
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=base.device == "cuda",
        disable_tqdm=True,
        report_to="none",
    )
    if base.device == "cuda":
        # One model on one card: more cards in one process would each get a part of the batch.
        arguments._n_gpu = 1  # noqa: SLF001 - transformers offers no other way
    callbacks: list[Any] = [_Watch(folder, interruption, progress)]
    if dev and plan.patience:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=plan.patience))
    trainer: Any = Trainer(
        model=base.model,
        args=arguments,
        data_collator=base.batcher,
        train_dataset=Examples(train),
        eval_dataset=Examples(dev) if dev else None,
        compute_loss_func=AnswerLoss(shifted=base.batcher.decoder is None),
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def train_on(trainer: Any, checkpoint: Path | None) -> None:
    """Train, from a checkpoint on where there is one; what was trained to its end is only loaded.

    The Trainer itself would make one more update of it each time.
    """
    if checkpoint is None:
        trainer.train()
        return
    state = TrainerState.load_from_json(str(checkpoint / _STATE))
    if not _is_over(state):
        trainer.train(resume_from_checkpoint=str(checkpoint))
        return
    trainer.state = state
    best = state.best_model_checkpoint
    weights = best if best is not None and Path(best).is_dir() else str(checkpoint)
    trainer._load_from_checkpoint(weights)  # noqa: SLF001 - transformers offers no other way


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end, or None.

    The Trainer writes its state last: what has none was cut off by a kill.
    """
    found: dict[int, Path] = {}
    for path in folder.glob("checkpoint-*"):
        try:
            state = json.loads((path / _STATE).read_bytes())
            found[int(state["global_step"])] = path
        except (OSError, ValueError, KeyError):
            continue
    return found[max(found)] if found else None


def _is_over(state: TrainerState) -> bool:
    """Whether a checkpoint is of a run's last update, whatever ended it."""
    kept: Any = state.stateful_callbacks  # in a file a mapping, by its annotation a list
    return bool(kept[TrainerControl.__name__]["args"]["should_training_stop"])


def _has_bfloat16() -> bool:
    import torch  # noqa: PLC0415 - beside transformers, which has it

    return bool(torch.cuda.is_bf16_supported())
