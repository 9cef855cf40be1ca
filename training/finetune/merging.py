"""LoRA adapters that were trained anywhere, added to the weights of their base model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from emollm.prompts import Wrapper
from training.finetune import saving
from training.finetune.base import Base, load_as_published, old_name
from training.finetune.errors import FinetuneError

_CONFIG: Final = "adapter_config.json"
_WEIGHTS: Final = ("adapter_model.safetensors", "adapter_model.bin")
_NAME: Final = "default"
"""peft's own name for a model's only adapters."""


class _Config(msgspec.Struct):
    """What peft writes beside adapters, as far as it matters here."""

    base_model_name_or_path: str | None = None
    peft_type: str | None = None


def merge(
    adapters: Path,
    out: Path,
    *,
    base: str | None = None,
    wrapper: Wrapper | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Base:
    """Write the folder `out`: the base model's weights with the adapters added to them.

    `base` is a folder or a name on the hub; where None, what the adapters' own configuration names.
    Products are made in float32, sums in the base's own type. Takes the memory of its weights.

    Raises:
        FinetuneError: these are no adapters, they don't fit the base, the base can't be loaded, or
            `out` is there already.
    """
    if out.exists():
        raise FinetuneError(f"{out} is there already: remove it, or name another folder")
    trained_on = _trained_on(adapters)
    name = base or trained_on
    if not name:
        raise FinetuneError(f"{adapters / _CONFIG} names no base model: name it with --base")
    if base and trained_on and base != trained_on:
        tell(f"the adapters were trained on {trained_on}; adding them to {base}, as you say")
    tell(f"loading {name}")
    try:
        model = load_as_published(name, wrapper)
    except FinetuneError as error:
        if base:
            raise
        raise FinetuneError(
            f"{adapters} were trained on {name}, which can't be loaded: {error}; where the base is"
            " elsewhere, name it with --base"
        ) from error
    tell("adding the adapters")
    whole = replace(model, model=_added(model, adapters))
    tell(f"writing {out}")
    with saving.writing(out, then="make room, or let it be written; nothing is left there"):
        saving.save(whole, out, {})
    return whole


def _trained_on(adapters: Path) -> str | None:
    path = adapters / _CONFIG
    try:
        config = msgspec.json.decode(path.read_bytes(), type=_Config)
    except FileNotFoundError:
        raise FinetuneError(
            f"{adapters} is no folder of adapters, it has no {_CONFIG}: name the one that has it,"
            " or fetch it (hf download NAME --local-dir FOLDER)"
        ) from None
    except OSError as error:
        raise FinetuneError(f"{path} can't be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise FinetuneError(f"{path} is damaged: {error}") from error
    if config.peft_type != "LORA":
        kind = config.peft_type or "nothing that it names"
        raise FinetuneError(f"{adapters} holds {kind}: only LoRA adapters (LORA) can be merged")
    if not any((adapters / name).is_file() for name in _WEIGHTS):
        raise FinetuneError(
            f"{adapters} has a {_CONFIG}, and no weights beside it ({' or '.join(_WEIGHTS)})"
        )
    return config.base_model_name_or_path


def _added(base: Base, adapters: Path) -> Any:
    """Give the model with plain weights.

    peft loads whatever fits and says nothing of the rest, or only warns: then nothing would have
    changed, or half of it.
    """
    from peft import PeftConfig, PeftModel  # noqa: PLC0415 - slow to import

    folder = str(adapters)
    try:
        with old_name():
            adapted: Any = PeftModel(base.model, PeftConfig.from_pretrained(folder), _NAME)
            found = adapted.load_adapter(folder, _NAME, torch_device="cpu")
            if not found.missing_keys and not found.unexpected_keys:
                return adapted.merge_and_unload(safe_merge=True)
    except Exception as error:  # each library raises its own for what doesn't fit
        words = " ".join(str(error).split()) or type(error).__name__
        raise FinetuneError(f"{adapters} can't be added to {base.name}: {words}") from error
    wrong = [*found.unexpected_keys, *found.missing_keys]
    raise FinetuneError(
        f"{adapters} don't fit {base.name}: {len(found.unexpected_keys)} of their tensors have no"
        f" place in it, {len(found.missing_keys)} of its places have no tensor ({wrong[0]}, …)"
    )
