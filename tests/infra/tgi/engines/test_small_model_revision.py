"""The model's revision: what event ids and caches are keyed by."""

import shutil
from pathlib import Path

from infra.tgi import SMALL_MODEL
from infra.tgi.engines.light import LightEngine


def test_another_tokenizer_is_another_revision(tmp_path: Path) -> None:
    """Answers may change with it, so event ids must."""
    shutil.copytree(SMALL_MODEL, tmp_path / "model")
    first = LightEngine(tmp_path / "model", model_id="m")
    first.close()
    with (tmp_path / "model" / "tokenizer.json").open("a", encoding="utf-8") as file:
        file.write("\n")
    second = LightEngine(tmp_path / "model", model_id="m")
    second.close()
    assert first.info.model_sha != second.info.model_sha
    assert first.info.model_sha is not None
    assert len(first.info.model_sha) == 12
