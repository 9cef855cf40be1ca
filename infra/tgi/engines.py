"""Which engine serves a model, and where the model is."""

from __future__ import annotations

from pathlib import Path

from infra.tgi.engine import Engine
from infra.tgi.errors import StartError
from infra.tgi.settings import SMALL_MODEL, ServerSettings


def load_engine(settings: ServerSettings) -> Engine:
    """Load the model that the settings name. Takes seconds to minutes. Raises `StartError`."""
    folder = local_folder(settings)
    light = folder is not None and (folder / "ct2" / "model.bin").is_file()
    if settings.engine == "light" or (settings.engine == "auto" and light):
        if folder is None:
            raise StartError(f"{settings.model_id} is not a folder: the light engine needs one")
        from infra.tgi.light import LightEngine  # noqa: PLC0415 - only where it is used

        return LightEngine(
            folder,
            model_id=settings.model_id or SMALL_MODEL.name,
            revision=settings.revision,
            threads=settings.threads,
        )
    try:
        from infra.tgi.torch_engine import TorchEngine  # noqa: PLC0415 - 3 GB, and seconds
    except ImportError as error:
        raise StartError(
            f"{settings.model_id or SMALL_MODEL.name} needs the torch engine: "
            "pip install 'emostream[torch]'"
        ) from error
    return TorchEngine.load(
        str(folder) if folder is not None else str(settings.model_id),
        model_id=settings.model_id or SMALL_MODEL.name,
        revision=settings.revision,
        dtype=settings.dtype,
        device=settings.device,
    )


def local_folder(settings: ServerSettings) -> Path | None:
    """The model's folder, or None for a name on the hub."""
    if settings.model_id is None:
        if not SMALL_MODEL.is_dir():
            raise StartError(f"the small model isn't at {SMALL_MODEL}: name one with --model-id")
        return SMALL_MODEL
    folder = Path(settings.model_id)
    if folder.is_dir():
        return folder
    if settings.model_id.startswith(("/", "./", "../")):
        raise StartError(f"there is no folder {settings.model_id}")
    return None
