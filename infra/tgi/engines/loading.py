"""Which engine serves a model, and where the model is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from emollm.hub import OnHub, find_on_hub
from emollm.model_folder import ModelFolderError, model_type
from infra.tgi.engine import Engine
from infra.tgi.errors import StartError

#: The model that ships, served where none is named.
SMALL_MODEL = Path(__file__).parents[1] / "models" / "emostream-small"
_SMALL = "small"
"""Names it, too: one word for each command that runs a model."""


def load_engine(
    model_id: str | None = None,
    *,
    engine: Literal["auto", "light", "torch"] = "auto",
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    threads: int = 0,
) -> Engine:
    """Load a model: a folder, a name on the hub; None or `small` for the small one that ships.

    The light engine serves what has a `ct2/` folder, unless `engine` says otherwise; the torch
    engine the rest. Takes seconds to minutes. Raises `StartError`.
    """
    if model_id == _SMALL:
        model_id = None
    folder = _local_folder(model_id)
    if folder is not None:
        _check_config(folder)
    shown = model_id or SMALL_MODEL.name
    light = folder is not None and (folder / "ct2" / "model.bin").is_file()
    if engine == "light" or (engine == "auto" and light):
        if folder is None:
            raise StartError(f"{model_id} is not a folder: the light engine needs one")
        from infra.tgi.engines.light import LightEngine  # noqa: PLC0415 - only where it is used

        return LightEngine(folder, model_id=shown, revision=revision, threads=threads)
    if folder is not None:
        _check_weights(folder)
    try:
        on_hub = None if folder is not None else _on_hub(shown, revision)
        from infra.tgi.engines.torch_engine import TorchEngine  # noqa: PLC0415 - 3 GB, and seconds
    except ImportError as error:
        raise StartError(
            f"{shown} needs the torch engine: pip install 'emostream[torch]'"
        ) from error
    return TorchEngine.load(
        str(folder) if folder is not None else shown,
        model_id=shown,
        revision=revision,
        dtype=dtype,
        device=device,
        on_hub=on_hub,
    )


def _on_hub(name: str, revision: str | None) -> OnHub:
    """Where it is to be had, before anything large is imported."""
    try:
        return find_on_hub(name, revision)
    except ModelFolderError as error:
        raise StartError(str(error)) from error


def _check_config(folder: Path) -> None:
    """Refuse a folder that says nothing of its model, before anything large is imported."""
    try:
        model_type(folder)
    except ModelFolderError as error:
        raise StartError(str(error)) from error


def _check_weights(folder: Path) -> None:
    """Refuse a model's folder without the weights that torch needs, before torch is imported."""
    if any(next(folder.glob(kind), None) for kind in ("*.safetensors", "*.bin")):
        return
    if (folder / "ct2" / "model.bin").is_file():
        raise StartError(
            f"{folder} has no model.safetensors, which the torch engine needs. The float weights "
            f"of {SMALL_MODEL.name} are in emostream's repository, not in the installed package: "
            f"clone it and give --model-id CLONE/infra/tgi/models/{SMALL_MODEL.name}. The light "
            "engine (--engine light) needs no more than what is here"
        )
    raise StartError(f"{folder} has no weights (model.safetensors): fetch the model again")


def _local_folder(model_id: str | None) -> Path | None:
    """The model's folder, or None for a name on the hub."""
    if model_id is None:
        if not SMALL_MODEL.is_dir():
            raise StartError(f"the small model isn't at {SMALL_MODEL}: name one with --model-id")
        return SMALL_MODEL
    folder = Path(model_id)
    if folder.is_dir():
        return folder
    if model_id.startswith(("/", "./", "../")):
        raise StartError(f"there is no folder {model_id}")
    return None
