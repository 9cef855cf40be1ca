"""What a model's folder says of itself, and the sentence where it says nothing."""

from pathlib import Path

import pytest

from emollm.model_folder import ModelFolderError, load_error, model_type


def test_the_architecture_is_what_config_json_says(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bloom", "limit": Infinity}')
    assert model_type(tmp_path) == "bloom"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"model_type": null}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_config_says_to_fetch_the_model_again(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"config\.json is damaged.*fetch the model again"):
        model_type(tmp_path)


def test_each_thing_that_is_no_models_folder_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"it has no config\.json: name the folder that has"):
        model_type(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelFolderError, match=r"holds adapters .* that they were merged into"):
        model_type(tmp_path)
    with pytest.raises(ModelFolderError, match="is a file, not a folder: name the model's folder"):
        model_type(tmp_path / "adapter_config.json")
    with pytest.raises(ModelFolderError, match="nowhere doesn't exist: name the model's folder"):
        model_type(tmp_path / "nowhere")


def test_what_transformers_says_is_one_line_with_what_may_help(tmp_path: Path) -> None:
    damaged = load_error(str(tmp_path), ValueError("one of:\n (1) this\n (2) that."))
    assert ": one of: (1) this (2) that; if one of its files is damaged, fetch" in damaged
    unknown = load_error("lzw1008/Emolama", OSError("not a repository"))
    assert unknown.endswith("there is no such folder, so it was taken for a name on the hub")
    assert load_error(str(tmp_path), RuntimeError("out of memory")).endswith(": out of memory")
