"""The folder of a model that was fine-tuned: what any server loads, and how it came about."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec

from training.finetune.base import SETTINGS_KEY, Base, merged
from training.finetune.errors import FinetuneError

ADAPTERS = "adapters"
"""Subfolder of the LoRA adapters alone, which are merged into the weights beside it."""


def save(base: Base, out: Path, more: dict[str, bytes]) -> None:
    """Write the folder `out`, whole or not at all; `more` are files to lie in it, too.

    Raises:
        FinetuneError: there is something else at `out`.
    """
    out = out.absolute()
    partly = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partly, ignore_errors=True)
    partly.mkdir(parents=True)
    adapters = partly / ADAPTERS
    if hasattr(base.model, "merge_and_unload"):
        base.model.save_pretrained(adapters)
    model: Any = merged(base, adapters)
    model.config.use_cache = True
    setattr(
        model.config,
        SETTINGS_KEY,
        {"family": base.family, "wrapper": base.wrapper.name.lower(), "base": base.name},
    )
    model.to(base.dtype).save_pretrained(partly)
    base.tokenizer.save_pretrained(partly)
    for name, content in more.items():
        (partly / name).write_bytes(content)
    try:
        partly.rename(out)
    except OSError as error:
        raise FinetuneError(f"{out} can't be written, the model is in {partly}: {error}") from error


def to_json(value: object) -> bytes:
    """JSON for a person and a program."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
