"""Which engine a model gets, and the error when its files aren't there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from infra.tgi import SMALL_MODEL, StartError
from infra.tgi.engines.light import LightEngine
from infra.tgi.engines.loading import load_engine


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The small model as a wheel has it: without the float weights."""
    folder = tmp_path / SMALL_MODEL.name
    shutil.copytree(SMALL_MODEL, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    return folder


def test_the_small_model_without_float_weights_is_served_by_the_light_engine(
    installed: Path,
) -> None:
    engine = load_engine(str(installed), threads=1)
    assert isinstance(engine, LightEngine)
    engine.close()


def test_small_is_the_model_that_ships_as_in_the_other_commands() -> None:
    engine = load_engine("small", threads=1)
    assert engine.info.model_id == SMALL_MODEL.name
    engine.close()


def test_the_torch_engine_says_where_the_float_weights_are(installed: Path) -> None:
    with pytest.raises(StartError, match=r"no model\.safetensors.*clone.*--engine light") as caught:
        load_engine(str(installed), engine="torch")
    assert "infra/tgi/models/emostream-small" in str(caught.value)


def test_a_model_without_weights_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "opt"}', encoding="utf-8")
    code = (
        "import sys\n"
        "from infra.tgi.engines.loading import load_engine\n"
        "from infra.tgi.errors import StartError\n"
        "try:\n"
        "    load_engine(sys.argv[1])\n"
        "except StartError as error:\n"
        "    assert 'has no weights' in str(error), error\n"
        "    sys.exit('torch' in sys.modules)\n"
        "sys.exit(2)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize("engine", ["auto", "light", "torch"])
def test_a_folder_whose_config_is_missing_or_damaged_is_refused_with_what_to_do(
    engine: Literal["auto", "light", "torch"], installed: Path
) -> None:
    config = installed / "config.json"
    config.write_text('{"model_type": ', encoding="utf-8")
    with pytest.raises(StartError, match=r"config\.json is damaged .*: fetch the model again"):
        load_engine(str(installed), engine=engine)
    config.unlink()
    with pytest.raises(StartError, match=r"has no config\.json: name the folder that has it, or"):
        load_engine(str(installed), engine=engine)


def test_a_damaged_file_beside_the_config_is_named(installed: Path) -> None:
    (installed / "ct2" / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(StartError, match=r"ct2/config\.json is damaged .*: fetch the model again"):
        load_engine(str(installed), threads=1)
