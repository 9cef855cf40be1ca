"""The hyper-parameters of one fine-tuning."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from training.finetune.errors import FinetuneError

Method = Literal["full", "lora", "lora-8bit", "lora-4bit"]

_FULL_RATE: Final = 1e-6
"""The authors'."""
_LORA_RATE: Final = 2e-4
"""The authors publish none for LoRA. Their 1e-6 would hardly move an adapter, which begins at zero;
this is what the QLoRA paper (Dettmers et al., 2023) uses for models of 7 and 13 B."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a model is fine-tuned. The defaults are the authors' (KDD '24 and `src/run_sft.sh`)."""

    method: Method = "full"
    """`full` trains every weight; `lora` trains low-rank adapters, which are merged at the end;
    `lora-8bit` and `lora-4bit` hold the base model quantised meanwhile (bitsandbytes)."""
    epochs: float = 3.0
    """Passes over the training records."""
    batch: int = 256
    """Records per update of the weights."""
    device_batch: int = 16
    """Records on the device at a time; a batch is made of several."""
    learning_rate: float | None = None
    """The highest, reached after the warm-up; it falls to 0 by a cosine. [default: 1e-6 for `full`,
    2e-4 for LoRA]"""
    warmup: float = 0.03
    """Share of the updates in which the learning rate rises from 0."""
    weight_decay: float = 1e-5
    """AdamW's."""
    max_tokens: int = 2048
    """Prompt and answer together, in tokens; less where the model holds less. Longer posts are cut,
    answers never."""
    evaluations: int = 4
    """Looks at the dev records per epoch; a checkpoint is kept at each."""
    patience: int = 5
    """Looks without a lower loss on dev after which training stops; 0: never before the end."""
    seed: int = 123
    """Of the records' order, of dropout and of the adapters' first weights."""
    max_steps: int | None = None
    """Updates after which training stops in any case, for a trial."""
    lora_rank: int = 16
    """Rank of the adapters."""
    lora_alpha: int = 32
    """Their scale: an adapter counts alpha / rank times."""
    lora_dropout: float = 0.05
    """Dropout before them."""
    no_gradient_checkpointing: bool = False
    """Keep all activations: a third faster, for several times the memory."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the weights in training. `auto`: float32 for `full` and on the CPU, bfloat16 for LoRA on a
    GPU. On a GPU that has bfloat16, float32 weights are multiplied in it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is CUDA where there is a card."""

    def __post_init__(self) -> None:
        """Refuse what can't work.

        Raises:
            FinetuneError: names the flag.
        """
        positive = ("epochs", "batch", "device_batch", "max_tokens", "evaluations", "lora_rank")
        for name in (*positive, "learning_rate", "max_steps"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise FinetuneError(f"{_flag(name)} {value}: must be above 0")
        for name in ("warmup", "lora_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise FinetuneError(
                    f"{_flag(name)} {getattr(self, name)}: must be from 0 to below 1"
                )
        if self.patience < 0 or self.weight_decay < 0:
            raise FinetuneError("--patience and --weight-decay can't be negative")
        if self.batch % min(self.device_batch, self.batch):
            raise FinetuneError(
                f"--batch {self.batch} is no multiple of --device-batch {self.device_batch}, and is"
                " put on the device in equal parts"
            )

    @property
    def lora(self) -> bool:
        """Whether adapters are trained, and not the weights themselves."""
        return self.method != "full"

    @property
    def rate(self) -> float:
        """The learning rate that is used."""
        return self.learning_rate or (_LORA_RATE if self.lora else _FULL_RATE)

    @property
    def on_device(self) -> int:
        """Records on the device at a time."""
        return min(self.device_batch, self.batch)

    def as_dict(self) -> dict[str, Any]:
        """All of it with the learning rate as it is used, for files."""
        return {**asdict(self), "learning_rate": self.rate}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
