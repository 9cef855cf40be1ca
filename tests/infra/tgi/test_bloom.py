"""BLOOM's tensor names as TGI wants them, and nothing else changed."""

import shutil
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from infra.tgi.bloom import logits_differ, rewrite
from infra.tgi.errors import StartError
from tests.infra.tgi import tiny


@pytest.fixture
def bloom(tmp_path: Path) -> Path:
    return tiny.save(tmp_path / "bloom", "bloom")


def names(folder: Path) -> set[str]:
    found: set[str] = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            found |= set(tensors.keys())
    return found


def test_the_prefix_goes_and_every_tensor_stays(bloom: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    changed = rewrite(bloom, target)
    before = load_file(bloom / "model.safetensors")
    after = load_file(target / "model.safetensors")
    assert changed == sum(name.startswith("transformer.") for name in before) > 10
    assert "word_embeddings.weight" in after
    assert {name.removeprefix("transformer.") for name in before} == set(after)
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name.removeprefix("transformer.")])


def test_transformers_loads_the_result_to_equal_logits(bloom: Path, tmp_path: Path) -> None:
    rewrite(bloom, tmp_path / "out")
    assert logits_differ(bloom, tmp_path / "out") == 0


def test_another_models_logits_are_told_apart(bloom: Path, tmp_path: Path) -> None:
    rewrite(bloom, tmp_path / "out")
    file = tmp_path / "out" / "model.safetensors"
    tensors = load_file(file)
    tensors["word_embeddings.weight"][3] += 1
    save_file(tensors, file, {"format": "pt"})
    assert logits_differ(bloom, tmp_path / "out") > 0


def test_shards_and_their_index_are_renamed_together(bloom: Path, tmp_path: Path) -> None:
    sharded = tmp_path / "sharded"
    AutoModelForCausalLM.from_pretrained(bloom).save_pretrained(sharded, max_shard_size="8KB")
    assert len(list(sharded.glob("*.safetensors"))) > 1
    told: list[tuple[int, int]] = []
    rewrite(sharded, tmp_path / "out", progress=lambda done, whole: told.append((done, whole)))
    assert not any(name.startswith("transformer.") for name in names(tmp_path / "out"))
    assert logits_differ(sharded, tmp_path / "out") == 0
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)


def test_the_rest_of_the_folder_comes_along_but_pickled_weights(
    bloom: Path, tmp_path: Path
) -> None:
    (bloom / "pytorch_model.bin").write_bytes(b"old names")
    rewrite(bloom, tmp_path / "out")
    there = {file.name for file in bloom.iterdir()} - {"pytorch_model.bin"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == there
    assert "tokenizer.json" in there


def test_what_needs_no_rewriting_is_left_alone(bloom: Path, tmp_path: Path) -> None:
    rewrite(bloom, tmp_path / "out")
    with pytest.raises(StartError, match="TGI loads it as it is"):
        rewrite(tmp_path / "out", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_other_models_and_folders_are_refused_in_words(bloom: Path, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="is no model's folder"):
        rewrite(tmp_path, tmp_path / "out")
    llama = tiny.save(tmp_path / "llama", "llama")
    with pytest.raises(StartError, match="of type llama: only BLOOM's"):
        rewrite(llama, tmp_path / "out")
    with pytest.raises(StartError, match="isn't empty"):
        rewrite(bloom, llama)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    shutil.copyfile(bloom / "config.json", pickled / "config.json")
    with pytest.raises(StartError, match="save_pretrained"):
        rewrite(pickled, tmp_path / "out")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"model_type": "bl', b'{"model_type": 7}', b"\xff"]
)
def test_a_damaged_config_is_refused_with_what_to_do(
    content: bytes, bloom: Path, tmp_path: Path
) -> None:
    (bloom / "config.json").write_bytes(content)
    with pytest.raises(StartError, match=r"config\.json is damaged.*fetch the model again"):
        rewrite(bloom, tmp_path / "out")


def test_weights_that_cant_be_compared_are_a_sentence(bloom: Path, tmp_path: Path) -> None:
    rewrite(bloom, tmp_path / "out")
    (tmp_path / "out" / "model.safetensors").write_bytes(b"<html>404</html>")
    with pytest.raises(StartError, match=r"transformers can't load .*out: .*fetch the model again"):
        logits_differ(bloom, tmp_path / "out")


def test_a_file_that_was_cut_off_is_refused(bloom: Path, tmp_path: Path) -> None:
    """Its header is whole, so all names are there: what is missing is the end of the weights."""
    whole = (bloom / "model.safetensors").read_bytes()
    (bloom / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(StartError, match=r"its header says .*: fetch it again"):
        rewrite(bloom, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_lacks_a_file_is_refused(bloom: Path, tmp_path: Path) -> None:
    sharded = tmp_path / "sharded"
    AutoModelForCausalLM.from_pretrained(bloom).save_pretrained(sharded, max_shard_size="8KB")
    lost = sorted(sharded.glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(StartError, match=f"lacks {lost.name}: fetch the model again"):
        rewrite(sharded, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_target_that_cant_be_written_is_a_sentence(bloom: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    for target in (file, file / "below"):
        with pytest.raises(StartError, match="can't be a folder to write: Not a directory"):
            rewrite(bloom, target)
    assert file.read_text() == "precious"


def test_a_disk_that_is_full_is_a_sentence_and_leaves_nothing(bloom: Path, tmp_path: Path) -> None:
    full = OSError(28, "No space left on device")
    with (
        patch("infra.tgi.bloom.shutil.copyfile", side_effect=full),
        pytest.raises(StartError, match="No space left on device"),
    ):
        rewrite(bloom, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_none_leaves_nothing_behind(bloom: Path, tmp_path: Path) -> None:
    (bloom / "model.safetensors").write_bytes(b"<html>404</html>")
    with pytest.raises(StartError, match="no safetensors file"):
        rewrite(bloom, tmp_path / "out")
    assert not (tmp_path / "out").exists()
