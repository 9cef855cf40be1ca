"""A BLOOM checkpoint as the real TGI wants it: tensor names without their `transformer.` prefix.

`save_pretrained` writes the prefix, and TGI 3.3 then fails with 'weight word_embeddings.weight does
not exist'. Only names change. A safetensors file is a header (a length of eight bytes, then JSON)
and the tensors' bytes, at offsets from the header's end: so a new header and a copy are enough, in
as little memory as one chunk, without torch. transformers and vLLM load both forms.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from emollm.model_folder import ModelFolderError, load_error, model_type
from infra.tgi.errors import StartError

_PREFIX = "transformer."
_INDEX = "model.safetensors.index.json"
_CHUNK = 16 * 1024 * 1024
_LONGEST_HEADER = 100_000_000
"""What the safetensors library itself takes."""
_PICKLED = (".bin", ".pt", ".pth", ".h5", ".msgpack")
"""Other forms of the weights: they keep the old names, so they aren't copied."""


def rewrite(
    source: Path, target: Path, *, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> int:
    """Write a copy of a checkpoint folder with the prefix stripped; return how many names changed.

    Every written file is read back: its tensors' bytes must be the source's. After each
    file `progress` is told the bytes written so far and in all.

    Raises:
        StartError: `source` is no BLOOM checkpoint in safetensors or needs no rewriting, `target`
            isn't empty, or the disk didn't keep what was written; says what to do.
    """
    weights = _weights(source)
    try:
        if target.exists() and any(target.iterdir()):
            raise StartError(f"{target} isn't empty: name another folder")
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"{target} can't be a folder to write: {error.strerror}") from error
    try:
        return _rewrite(source, target, weights, progress)
    except OSError as error:
        shutil.rmtree(target)
        raise StartError(f"{error.filename or target}: {error.strerror}") from error
    except BaseException:
        shutil.rmtree(target)  # it was empty, or not there
        raise


def _rewrite(
    source: Path, target: Path, weights: list[Path], progress: Callable[[int, int], None]
) -> int:
    whole = sum(file.stat().st_size for file in weights)
    changed = done = 0
    for file in weights:
        changed += _rewrite_file(file, target / file.name)
        done += file.stat().st_size
        progress(done, whole)
    if not changed:
        raise StartError(f"{source} has no tensor named {_PREFIX}…: TGI loads it as it is")
    for file in source.iterdir():
        if file.name == _INDEX:
            _rewrite_index(file, target / file.name)
        elif file.is_file() and file not in weights and file.suffix not in _PICKLED:
            shutil.copyfile(file, target / file.name)
    return changed


def logits_differ(source: Path, target: Path) -> float:
    """Load both folders with transformers, and return the largest difference of their logits.

    Takes the memory of both models. Raises `StartError` where a folder can't be loaded.
    """
    try:
        import torch  # noqa: PLC0415 - 3 GB, and only where it is asked for
        from transformers import AutoModelForCausalLM  # noqa: PLC0415
    except ImportError as error:
        raise StartError("comparing logits needs torch: pip install 'emostream[torch]'") from error
    found: list[Any] = []
    for folder in (source, target):
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
        except Exception as error:  # a damaged file makes each library raise its own
            raise StartError(load_error(str(folder), error)) from error
        ids = torch.arange(min(32, model.config.vocab_size))[None]
        with torch.inference_mode():
            found.append(model.eval()(ids).logits.float())
    return float((found[0] - found[1]).abs().max())


def _weights(source: Path) -> list[Path]:
    try:
        kind = model_type(source)
    except ModelFolderError as error:
        raise StartError(str(error)) from error
    if kind != "bloom":
        raise StartError(f"{source} is a model of type {kind}: only BLOOM's names are changed")
    files = sorted(source.glob("*.safetensors"))
    names = {file.name for file in files} | set(_index(source / _INDEX)["weight_map"].values())
    if missing := sorted(map(str, names - {file.name for file in files})):
        raise StartError(f"{source} lacks {', '.join(missing)}: fetch the model again")
    if not files:
        raise StartError(
            f"{source} has no .safetensors file: load it with transformers and save it with"
            " save_pretrained, which writes them"
        )
    return files


def _renamed(name: str) -> str:
    return name.removeprefix(_PREFIX)


def _read_header(file: BinaryIO, path: Path) -> tuple[dict[str, Any], int]:
    """The header, and where the tensors begin."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= _LONGEST_HEADER:
        raise StartError(f"{path} is no safetensors file")
    try:
        header = msgspec.json.decode(file.read(length), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StartError(f"{path} is no safetensors file: {error}") from error
    return header, 8 + length


def _rewrite_file(source: Path, target: Path) -> int:
    with source.open("rb") as old, target.open("xb") as new:
        header, _ = _read_header(old, source)
        names = [name for name in header if name != "__metadata__"]
        renamed = {_renamed(name): header[name] for name in names}
        if len(renamed) < len(names):
            raise StartError(f"{source} has a tensor under both names: which one is right?")
        if "__metadata__" in header:
            renamed["__metadata__"] = header["__metadata__"]
        _check_length(header, old, source)
        text = msgspec.json.encode(renamed)
        text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight
        new.write(len(text).to_bytes(8, "little") + text)
        digest = hashlib.blake2b()
        while chunk := old.read(_CHUNK):
            new.write(chunk)
            digest.update(chunk)
    with target.open("rb") as again:
        found, _ = _read_header(again, target)
        if found != renamed or hashlib.file_digest(again, "blake2b").digest() != digest.digest():
            raise StartError(f"{target} isn't what was written: is the disk full or failing?")
    return sum(name != _renamed(name) for name in names)


def _check_length(header: dict[str, Any], file: BinaryIO, path: Path) -> None:
    """Refuse a file that ends before its tensors do, as after a download that was cut off."""
    begin = file.tell()
    there = file.seek(0, 2) - begin
    file.seek(begin)
    try:
        ends = [one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"]
        whole = max(ends, default=0)
    except (KeyError, IndexError, TypeError) as error:
        raise StartError(f"{path} is no safetensors file: a tensor has no place in it") from error
    if there != whole:
        raise StartError(
            f"{path} has {there:,} bytes of tensors, its header says {whole:,}: fetch it again"
        )


def _index(file: Path) -> dict[str, Any]:
    """The index of a checkpoint in several files; without one, an empty index."""
    if not file.exists():
        return {"weight_map": {}}
    try:
        index = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        if not isinstance(index["weight_map"], dict):
            raise StartError(f"{file} can't be read: its weight_map is no object")
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise StartError(f"{file} can't be read: {error}") from error
    return index


def _rewrite_index(source: Path, target: Path) -> None:
    index = _index(source)
    index["weight_map"] = {_renamed(name): file for name, file in index["weight_map"].items()}
    target.write_bytes(msgspec.json.format(msgspec.json.encode(index), indent=2))
