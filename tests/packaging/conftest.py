"""The wheel, built once for the whole run the way an installer builds it: out of the sdist."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installed:
    """An environment of its own that holds the wheel, and borrows this one's dependencies."""

    python: Path
    emostream: Path
    """The command."""


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    # The sdist carries what was fetched: this build may ask nobody.
    built = _build(source, "wheel", folder, npm_config_registry="http://127.0.0.1:9")
    shutil.rmtree(source)
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    bin_ = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(bin_ / "python"), "--isolated"]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel)],
        check=True,
    )
    # A .pth within a folder that is itself borrowed isn't read: this checkout's editable install
    # does not come along.
    (site,) = folder.glob("lib/python3*/site-packages")
    dependencies = Path(msgspec.__file__).parents[1]
    (site / "borrowed.pth").write_text(f"{dependencies}\n", encoding="utf-8")
    return Installed(python=bin_ / "python", emostream=bin_ / "emostream")


def _build(source: Path, target: str, folder: Path, **environ: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", folder],
        cwd=source,
        env={**os.environ, **environ},
        check=True,
        capture_output=True,
    )
    (built,) = (path for path in folder.iterdir() if path.is_file())
    return built
