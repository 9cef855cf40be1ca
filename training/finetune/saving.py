"""The folder of a model that was fine-tuned: what any server loads, and how it came about."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from training.finetune.base import SETTINGS_KEY, Base, merged
from training.finetune.errors import FinetuneError

ADAPTERS = "adapters"
"""Subfolder of the LoRA adapters alone, which are merged into the weights beside it."""

_GOES_ON: Final = (
    "what was kept before is whole: make room, or let it be written, and the same command goes on"
    " from there"
)
"""Of a run, which keeps checkpoints."""
_TORCH_WRITER: Final = "inline_container"
"""In what torch says where its archive can't be written: it keeps the system's words to itself."""
_NO_SPACE: Final = "os error 28"
"""In what safetensors says of a full disk."""


@contextmanager
def writing(folder: Path, *, then: str = _GOES_ON) -> Iterator[None]:
    """What is done in here writes files: where one can't be written, say so in a sentence.

    `then` ends the sentence: what is left, and what to do.

    Raises:
        FinetuneError: a file can't be written. What was whole before still is.
    """
    try:
        yield
    except FinetuneError:
        raise
    except Exception as error:
        why = _unwritable(error)
        if why is None:
            raise
        raise FinetuneError(f"{folder}: {why}; {then}") from error


def _unwritable(error: BaseException | None) -> str | None:
    """Why the disk doesn't take a file; None where that isn't what went wrong."""
    full = os.strerror(errno.ENOSPC)
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
        if _NO_SPACE in str(error) or _TORCH_WRITER in str(error):
            return full
        error = error.__cause__ or error.__context__
    return None


def save(base: Base, out: Path, more: dict[str, bytes]) -> None:
    """Write the folder `out`, whole or not at all; `more` are files to lie in it, too.

    Raises:
        FinetuneError: there is something else at `out`.
    """
    out = out.absolute()
    partly = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partly, ignore_errors=True)
    try:
        partly.mkdir(parents=True)
        _write(base, partly, more)
    except BaseException:
        shutil.rmtree(partly, ignore_errors=True)
        raise
    try:
        partly.rename(out)
    except OSError as error:
        raise FinetuneError(f"{out} can't be written, the model is in {partly}: {error}") from error


def _write(base: Base, partly: Path, more: dict[str, bytes]) -> None:
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


def to_json(value: object) -> bytes:
    """JSON for a person and a program."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
