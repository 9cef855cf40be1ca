"""LoRA adapters of somebody else's training: added to their base, or refused with a sentence."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from emollm.prompts import Wrapper
from emollm.tasks import V_REG
from emostream.command_line import make_app
from emostream.exits import explain
from tests.training.finetune import tiny
from tests.training.finetune.test_run import served
from training.finetune.errors import FinetuneError
from training.finetune.merging import merge


@pytest.mark.parametrize("kind", tiny.TARGETS)
def test_each_adapted_weight_is_the_bases_and_the_scaled_product(kind: str, tmp_path: Path) -> None:
    """By LoRA's own formula (Hu et al. 2021): W + alpha / r · B A."""
    base = tiny.save(tmp_path / "base", kind)
    made = tiny.save_adapters(base, tmp_path / "adapters", kind)
    told: list[str] = []
    merged = merge(made, tmp_path / "out", tell=told.append)
    assert (merged.name, merged.family) == (str(base), kind)
    before, after = tiny.weights(base), tiny.weights(tmp_path / "out")
    assert before.keys() == after.keys()
    parts = load_file(made / "adapter_model.safetensors")
    changed = 0
    for name, weight in before.items():
        # peft calls a tensor by its place in the model, which a saved file may leave out a part of.
        stem = name.removesuffix(".weight")
        found = [key for key in parts if key.endswith(f"{stem}.lora_A.weight")]
        if found:
            down, up = parts[found[0]], parts[found[0].replace("lora_A", "lora_B")]
            expected = weight + tiny.ALPHA / tiny.RANK * up @ down
            assert torch.allclose(after[name], expected, atol=1e-6), name
            changed += 1
        else:
            assert torch.equal(after[name], weight), name
    assert changed == len(parts) / 2
    assert changed >= 2
    assert told == [f"loading {base}", "adding the adapters", f"writing {tmp_path / 'out'}"]
    served(tmp_path / "out", V_REG.instruction("a sea."), merged.wrapper)


def test_old_adapters_and_half_precision(tmp_path: Path) -> None:
    """`adapter_model.bin` of older versions of peft; the base's bfloat16 stays bfloat16."""
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 - slow to import

    base = tiny.save(tmp_path / "base", "llama")
    made = tiny.save_adapters(base, tmp_path / "adapters", "llama", safe_serialization=False)
    assert (made / "adapter_model.bin").is_file()
    old = {  # what peft 0.3 knew of
        "base_model_name_or_path": str(base),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": tiny.ALPHA,
        "lora_dropout": 0.05,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": tiny.RANK,
        "target_modules": ["q_proj", "v_proj"],
        "task_type": "CAUSAL_LM",
    }
    (made / "adapter_config.json").write_text(json.dumps(old))
    merge(made, tmp_path / "whole")
    loader: Any = AutoModelForCausalLM
    loader.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)
    merge(made, tmp_path / "half", wrapper=Wrapper.BARE)
    whole, half = tiny.weights(tmp_path / "whole"), tiny.weights(tmp_path / "half")
    for name, weight in whole.items():
        assert half[name].dtype == torch.bfloat16
        assert torch.allclose(half[name].float(), weight, rtol=2**-7, atol=2**-7), name
    assert tiny.settings_of(tmp_path / "half")["wrapper"] == "bare"
    assert tiny.settings_of(tmp_path / "whole")["wrapper"] == "human"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base and adapters for it."""
    folder = tmp_path_factory.mktemp("llama")
    tiny.save(folder / "base", "llama")
    tiny.save_adapters(folder / "base", folder / "adapters", "llama")
    return folder


def _without_config(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()


def _damaged_config(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{")


def _another_kind(folder: Path) -> None:
    _set(folder, peft_type="PREFIX_TUNING")


def _no_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()


def _torn_weights(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _one_tensor_less(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    parts = load_file(path)
    del parts[min(parts)]
    save_file(parts, path)


def _for_fewer_places(folder: Path) -> None:
    _set(folder, target_modules=["q_proj"])


def _for_no_place(folder: Path) -> None:
    _set(folder, target_modules=["query_key_value"])


def _of_a_larger_model(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    parts = {name: torch.cat([one, one], dim=-1) for name, one in load_file(path).items()}
    save_file(parts, path)


def _no_number(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    parts = {name: torch.full_like(one, torch.nan) for name, one in load_file(path).items()}
    save_file(parts, path)


def _base_of_another_machine(folder: Path) -> None:
    _set(folder, base_model_name_or_path="/data/models/llama")


def _no_base(folder: Path) -> None:
    _set(folder, base_model_name_or_path=None)


def _set(folder: Path, **values: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_config, "is no folder of adapters, it has no adapter_config.json"),
        (_damaged_config, "adapter_config.json is damaged"),
        (_another_kind, "holds PREFIX_TUNING: only LoRA adapters"),
        (_no_weights, "no weights beside it"),
        (_torn_weights, "can't be added to"),
        (_one_tensor_less, "0 of their tensors have no place in it, 1 of its places have no"),
        (_for_fewer_places, "4 of their tensors have no place in it, 0 of its places"),
        (_for_no_place, r"can't be added to .* not found in the base model"),
        (_of_a_larger_model, r"can't be added to .* size mismatch"),
        (_no_number, r"can't be added to .* NaN"),
        (_base_of_another_machine, r"/data/models/llama, which can't be loaded.*--base"),
        (_no_base, "names no base model: name it with --base"),
    ],
)
def test_what_can_not_be_merged_is_refused_and_nothing_is_written(
    spoil: Any, message: str, llama: Path, tmp_path: Path
) -> None:
    made = tmp_path / "adapters"
    shutil.copytree(llama / "adapters", made)
    spoil(made)
    with pytest.raises(FinetuneError, match=message):
        merge(made, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["adapters"]


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(PreTrainedTokenizerFast, "save_pretrained", full)  # after the weights
    with pytest.raises(
        FinetuneError, match=r"No space left on device; make room.* nothing is left"
    ):
        merge(llama / "adapters", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_refused_before_anything_is_loaded(
    llama: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    with pytest.raises(FinetuneError, match="is there already"):
        merge(llama / "adapters", tmp_path, tell=told.append)
    assert not told


def test_the_command_takes_another_base_and_says_so(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, out = tmp_path / "moved", tmp_path / "out"
    shutil.copytree(llama / "base", base)
    words = ["train", "merge", str(llama / "adapters"), str(out), "--base", str(base)]
    make_app(overview=False)([*words, "--wrapper", "bare"], exit_on_error=False)
    said = capsys.readouterr()
    assert f"trained on {llama / 'base'}; adding them to {base}, as you say" in said.err
    assert f"serve it: emostream serve --model-id {out}" in said.out
    assert tiny.settings_of(out) == {"family": "llama", "wrapper": "bare", "base": str(base)}
    with pytest.raises(Exception, match="is there already") as caught:
        make_app(overview=False)(words, exit_on_error=False)
    assert explain(caught.value)[0] == 2
