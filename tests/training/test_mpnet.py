"""The teacher's base model, put together from its packages."""

import io
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from training import mpnet

WEIGHTS = bytes(range(256)) * 20


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of the model, cut into five."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("all-mpnet-base-v2/model.safetensors", WEIGHTS)
    data = whole.getvalue()
    size = -(-len(data) // len(mpnet.PARTS))
    for number, package in enumerate(mpnet.PARTS):
        (tmp_path / package).write_bytes(data[number * size : (number + 1) * size])
    monkeypatch.setattr(mpnet, "_part", lambda package: tmp_path / package)


@pytest.mark.usefixtures("parts")
def test_the_parts_make_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpnet, "SHA256", sha256(WEIGHTS).hexdigest())
    folder = mpnet.unpacked(tmp_path)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert mpnet.unpacked(tmp_path) == folder


@pytest.mark.usefixtures("parts")
def test_weights_that_are_not_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="isn't the pinned base model"):
        mpnet.unpacked(tmp_path)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpnet, "PARTS", ("no-such-package-of-emostream",))
    with pytest.raises(ModuleNotFoundError, match="pip install no-such-package-of-emostream"):
        mpnet.unpacked(tmp_path)
