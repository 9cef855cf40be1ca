"""The commands of docs/fine-tuning.md, in their order, on tiny models and made-up files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from emostream.command_line import make_app
from tests.training.finetune import semeval, tiny
from training.finetune.records import write

PAGE = Path(__file__).parents[3] / "docs" / "fine-tuning.md"
COMMANDS = re.findall(r"^\$ emostream (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
SMALL = ["--max-steps", "1", "--batch", "4", "--device", "cpu"]


def test_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for part in ("train", "dev"):
        semeval.write(Path("SemEval2018-Task1"), part, dict.fromkeys(semeval.SIZES[part], 2))
        write(tiny.task(8), Path("own.json" if part == "train" else "own-dev.json"))
    tiny.save_adapters(tiny.save(Path("facebook/opt-125m"), "opt"), Path("my-adapters"), "opt")
    tiny.save(Path("lzw1008/Emollama-chat-7b"), "llama")
    ran = []
    for command in COMMANDS:
        words = shlex.split(command)
        if words[0] == "serve":  # until Ctrl-C: test_command.py serves such a folder
            continue
        more = SMALL if words[:2] == ["train", "run"] else []
        # An untrained model's answers can't be read: then there is nothing to score.
        try:
            make_app(overview=False)([*words, *more], exit_on_error=False)
        except Exception as error:
            if words[0] != "evaluate" or "nothing could be scored" not in str(error):
                raise
        ran.append(words[0])
    assert ran == ["train", "train", "evaluate", "train", "train"]
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert (tmp_path / "tuned" / "README.md").is_file()
    assert "serve it: emostream serve --model-id my-model" in capsys.readouterr().out


def test_the_page_names_only_flags_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["train", "run"], ["train", "merge"], ["evaluate"], ["serve"]):
        make_app(overview=False)([*words, "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z][a-z-]*", PAGE.read_text(encoding="utf-8"))) <= known


def test_each_file_that_the_page_names_is_written(tmp_path: Path) -> None:
    tiny.save(tmp_path / "base", "opt")
    write(tiny.task(8), tmp_path / "train.json")
    words = ["train", "run", f"{tmp_path}/base", f"{tmp_path}/out", f"--data={tmp_path}", *SMALL]
    make_app(overview=False)([*words, "--method", "lora"], exit_on_error=False)
    named = set(re.findall(r"`(\w+\.(?:jsonl|svg|json|md)|adapters/)`", PAGE.read_text("utf-8")))
    elsewhere = {"train.json", "dev.json", "scores.json", "adapter_config.json"}
    assert named >= {"metrics.jsonl", "metrics.svg", "README.md", "config.json", *elsewhere}
    for name in named - elsewhere:
        assert (tmp_path / "out" / name).exists(), name
