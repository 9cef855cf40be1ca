"""The model that is fine-tuned: loaded, and made ready for the method."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import torch
import transformers.utils.logging
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BitsAndBytesConfig,
)

from emollm.hub import find_on_hub
from emollm.model_folder import ModelFolderError, load_error, model_type
from emollm.models import FAMILIES, UnknownModel, find_model
from emollm.prompts import Wrapper
from training.finetune.batches import Batcher, Decoder
from training.finetune.encoding import Limits
from training.finetune.errors import FinetuneError
from training.finetune.plan import Plan

SETTINGS_KEY: Final = "emostream"
"""The key of config.json that says how the model wants to be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model to be trained, with all that is to be known of it."""

    name: str
    """Its folder or its name on the hub."""
    family: str
    wrapper: Wrapper
    model: Any
    """A transformers model; with LoRA, peft's around it."""
    tokenizer: Any
    """Its transformers tokenizer, as it came."""
    eos_id: int
    limits: Limits
    batcher: Batcher
    dtype: torch.dtype
    """Of the weights as they were published: in this they are saved."""
    device: Literal["cpu", "cuda"]


def load(name: str, plan: Plan, wrapper: Wrapper | None = None) -> Base:
    """Load a base model to be trained: a folder or a name on the hub. Takes seconds to minutes.

    `wrapper` is the table's where None, else that which its family is asked in.

    Raises:
        FinetuneError: it can't be loaded, or not in this way.
    """
    device = _device(plan)
    _check_method(plan, device)

    def model(config: Any, cached: bool) -> Any:
        return _model(name, config, plan, device, cached=cached)

    base = _load(name, wrapper, model, max_tokens=plan.max_tokens, device=device)
    return replace(base, model=_trainable(base.model, plan))


def load_as_published(name: str, wrapper: Wrapper | None = None) -> Base:
    """Load a base model as it is, in the type of number it was published in, on the CPU.

    Raises:
        FinetuneError: it can't be loaded.
    """

    def model(config: Any, cached: bool) -> Any:
        dtype = config.dtype or torch.float32
        return _loader(config).from_pretrained(name, dtype=dtype, local_files_only=cached)

    return _load(name, wrapper, model, max_tokens=sys.maxsize, device="cpu")


def _load(
    name: str,
    wrapper: Wrapper | None,
    make: Callable[[Any, bool], Any],
    *,
    max_tokens: int,
    device: Literal["cpu", "cuda"],
) -> Base:
    """Load a model; `make` gets its config, and whether it is on this machine already."""
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = Path(name)
    try:
        if folder.is_dir() or name.startswith(("/", "./", "../")):
            _check_family(name, model_type(folder))
            cached = False
        else:
            cached = find_on_hub(name).cached
    except ModelFolderError as error:
        raise FinetuneError(str(error)) from error
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=cached)
        _check_family(name, config.model_type)
        tokenizer: Any = AutoTokenizer.from_pretrained(name, local_files_only=cached)
        model = make(config, cached)
    except FinetuneError:
        raise
    except Exception as error:  # a damaged file makes each library raise its own
        raise FinetuneError(load_error(name, error)) from error
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise FinetuneError(f"{name} has no tokenizer that the `tokenizers` library can run")
    chosen = model.generation_config
    eos = chosen.eos_token_id if chosen.eos_token_id is not None else tokenizer.eos_token_id
    eos_id = eos[0] if isinstance(eos, list) else eos
    if eos_id is None:
        raise FinetuneError(f"{name} names no end-of-sequence token: answers would never end")
    chosen.eos_token_id = eos
    encoder_decoder = bool(config.is_encoder_decoder)
    return Base(
        name=name,
        family=config.model_type,
        wrapper=wrapper or _wrapper(name, config),
        model=model,
        tokenizer=tokenizer,
        eos_id=int(eos_id),
        limits=_limits(config, max_tokens, encoder_decoder=encoder_decoder),
        batcher=Batcher(
            pad_id=_first(config.pad_token_id, tokenizer.pad_token_id, eos_id),
            decoder=_decoder(config, chosen) if encoder_decoder else None,
        ),
        dtype=config.dtype or torch.float32,
        device=device,
    )


def _check_family(name: str, family: str) -> None:
    if family not in FAMILIES:
        raise FinetuneError(f"{name} is a {family}: one of {', '.join(FAMILIES)} can be fine-tuned")


def merged(base: Base, adapters: Path) -> Any:
    """Give the trained model with plain weights: adapters are added to the base's.

    `adapters` is the folder of the saved ones: onto quantised weights they can't be added without
    loss, so that base is loaded again as it was published.
    """
    if not hasattr(base.model, "merge_and_unload"):
        return base.model
    if not getattr(base.model.base_model.model, "is_quantized", False):
        return base.model.merge_and_unload()
    from peft import PeftModel  # noqa: PLC0415 - only for LoRA

    plain: Any = _loader(base.model.config).from_pretrained(base.name, dtype=base.dtype)
    plain.generation_config = base.model.generation_config
    with old_name():
        return PeftModel.from_pretrained(plain, str(adapters)).merge_and_unload()


def _device(plan: Plan) -> Literal["cpu", "cuda"]:
    there = torch.cuda.is_available()
    if plan.device == "cuda" and not there:
        raise FinetuneError("--device cuda: PyTorch finds no CUDA card")
    return "cuda" if there and plan.device != "cpu" else "cpu"


def _check_method(plan: Plan, device: str) -> None:
    if plan.lora and importlib.util.find_spec("peft") is None:
        raise FinetuneError(f"--method {plan.method} needs peft: pip install 'emostream[training]'")
    if plan.method in {"lora-8bit", "lora-4bit"}:
        if importlib.util.find_spec("bitsandbytes") is None:
            raise FinetuneError(
                f"--method {plan.method} needs bitsandbytes (pip install bitsandbytes), which"
                " quantises the base model; --method lora needs it not"
            )
        if device == "cpu" and plan.device == "auto":
            raise FinetuneError(
                f"--method {plan.method} is for a GPU, and PyTorch finds no CUDA card: use --method"
                " lora, or insist with --device cpu"
            )


def _model(name: str, config: Any, plan: Plan, device: str, *, cached: bool) -> Any:
    narrow = plan.lora and device == "cuda"
    dtype = torch.bfloat16 if narrow and torch.cuda.is_bf16_supported() else torch.float32
    if plan.dtype != "auto":
        dtype = torch.bfloat16 if plan.dtype == "bfloat16" else torch.float32
    more: dict[str, Any] = {"local_files_only": cached}
    if plan.method in {"lora-8bit", "lora-4bit"}:
        more["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_8bit=plan.method == "lora-8bit",
            load_in_4bit=plan.method == "lora-4bit",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
            bnb_4bit_use_double_quant=True,
        )
        more["device_map"] = {"": device}
    model: Any = _loader(config).from_pretrained(name, dtype=dtype, **more)
    model.config.use_cache = False  # nothing is generated in training
    return model


def _loader(config: Any) -> Any:
    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def _trainable(model: Any, plan: Plan) -> Any:
    if not plan.no_gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if not plan.lora:
        return model
    from peft import (  # noqa: PLC0415 - only for LoRA
        LoraConfig,
        TaskType,
        get_peft_model,
        prepare_model_for_kbit_training,
    )

    if plan.method != "lora":
        model = prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]
            model, use_gradient_checkpointing=False
        )
    if not plan.no_gradient_checkpointing:
        model.enable_input_require_grads()  # else nothing before the adapters has a gradient
    torch.manual_seed(plan.seed)  # the adapters' first weights
    seq2seq = bool(model.config.is_encoder_decoder)
    config = LoraConfig(
        r=plan.lora_rank,
        lora_alpha=plan.lora_alpha,
        lora_dropout=plan.lora_dropout,
        # Every linear layer but the output's: as good as full training (Dettmers et al., 2023).
        target_modules="all-linear",
        task_type=TaskType.SEQ_2_SEQ_LM if seq2seq else TaskType.CAUSAL_LM,
    )
    with old_name():
        return get_peft_model(model, config)


@contextmanager
def old_name() -> Iterator[None]:
    """Silence what peft 0.21 is told: it asks transformers 5.23 by a name that is to go."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


def _wrapper(name: str, config: Any) -> Wrapper:
    """As the base was asked before; else as the authors ask its family."""
    before = getattr(config, SETTINGS_KEY, None)
    if isinstance(before, dict) and isinstance(before.get("wrapper"), str):
        return Wrapper.named(before["wrapper"])
    try:
        return find_model(name).wrapper
    except UnknownModel:
        return Wrapper.BARE if config.is_encoder_decoder else Wrapper.HUMAN


def _limits(config: Any, max_tokens: int, *, encoder_decoder: bool) -> Limits:
    names = ("max_position_embeddings", "n_positions", "seq_length")
    known = [getattr(config, name, None) for name in names]
    positions = min([max_tokens, *(n for n in known if isinstance(n, int) and n > 0)])
    return Limits(
        prompt=positions, together=None if encoder_decoder else positions, answer=positions - 2
    )


def _decoder(config: Any, chosen: Any) -> Decoder:
    names = ("decoder_start_token_id", "bos_token_id", "pad_token_id")  # as the torch engine looks
    start = _first(
        chosen.decoder_start_token_id, *(getattr(config, name, None) for name in names), 0
    )
    forced = chosen.forced_bos_token_id
    return Decoder(start_id=start, forced_id=forced if isinstance(forced, int) else None)


def _first(*values: Any) -> int:
    return next(int(value) for value in values if isinstance(value, int) and value >= 0)
