"""A model's folder, as transformers' `save_pretrained` writes it."""

import json
from pathlib import Path
from typing import Any, Final

_CONFIG: Final = "config.json"
_ADAPTERS: Final = "adapter_config.json"
"""What peft writes in its place."""
_FETCH: Final = "fetch the model again (hf download NAME --local-dir FOLDER)"


class ModelFolderError(ValueError):
    """A folder that no model can be loaded from; the message says what to do."""


def model_type(folder: Path) -> str:
    """Read which architecture a folder holds, in transformers' word for it: `llama`, `bloom`, ….

    Raises:
        ModelFolderError: there is no such folder, or its config.json is missing or damaged.
    """
    config = _read(folder)
    found = config.get("model_type")
    if not isinstance(found, str) or not found:
        raise ModelFolderError(
            f"{folder / _CONFIG} is damaged: it names no architecture (model_type); {_FETCH}"
        )
    return found


def _read(folder: Path) -> dict[str, Any]:
    path = folder / _CONFIG
    if not folder.is_dir():
        there = "is a file, not a folder" if folder.exists() else "doesn't exist"
        raise ModelFolderError(f"{folder} {there}: name the model's folder")
    if not path.is_file():
        if (folder / _ADAPTERS).is_file():
            raise ModelFolderError(
                f"{folder} holds adapters ({_ADAPTERS}), which are no model without their base:"
                " name the folder of the model that they were merged into (emostream train merge"
                f" {folder} MERGED)"
            )
        raise ModelFolderError(
            f"{folder} is no model's folder, it has no {_CONFIG}: name the folder that has it, or"
            f" {_FETCH}"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))  # as transformers reads it
    except OSError as error:
        raise ModelFolderError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError, too
        raise ModelFolderError(f"{path} is damaged ({error}): {_FETCH}") from error
    if not isinstance(found, dict):
        raise ModelFolderError(f"{path} is damaged (no JSON object): {_FETCH}")
    return found


def load_error(name: str, error: Exception) -> str:
    """Say in one line that transformers can't load a model: its own words may be a list.

    What a library raises for a damaged file is its own: so of a folder this says what may help.
    """
    words = (" ".join(str(error).split()) or type(error).__name__).removesuffix(".")
    hint = ""
    if not Path(name).exists():
        hint = "; there is no such folder, so it was taken for a name on the hub"
    elif not isinstance(error, ImportError | RuntimeError):
        hint = f"; if one of its files is damaged, {_FETCH}"
    return f"transformers can't load {name}: {words}{hint}"
