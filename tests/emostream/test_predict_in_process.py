"""`emostream predict` with a model that the command itself runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from emollm.tasks import V_REG
from emostream.command_line import make_app
from emostream.exits import CommandError

pytest.importorskip("ctranslate2")


def predict(file: Path, out: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command here; give its status and what it wrote."""
    app = make_app(overview=False)
    status = app(["predict", str(file), "--out", str(out), *words], exit_on_error=False)
    return status, [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_the_small_model_reads_posts_in_order_and_passes_the_canary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "posts.csv", tmp_path / "out.jsonl"
    texts = ["I love this wonderful day!", "I hate it. Horrible.", "So happy to see you all!"] * 10
    file.write_text("text\n" + "".join(f"{text}\n" for text in texts), encoding="utf-8")
    status, rows = predict(file, out, "--model-id", "small")
    assert status == 0
    assert [row["text"] for row in rows] == texts
    assert {row["model"] for row in rows} == {"emostream-small"}
    assert [row["values"]["V-reg"] > 0.5 for row in rows] == [True, False, True] * 10
    assert [row["values"]["V-oc"] > 0 for row in rows] == [True, False, True] * 10
    assert "joy" in rows[0]["values"]["E-c"]
    assert not out.with_name("out.jsonl.journal").exists()
    assert "30 rows, " in capsys.readouterr().err


def test_any_architecture_is_run_by_its_folder_and_keeps_what_cant_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tiny random model, which the canary refuses, and the configuration has to describe."""
    pytest.importorskip("torch")
    from tests.infra.tgi import tiny  # noqa: PLC0415 - imports torch

    model = str(tiny.save(tmp_path / "tiny-bloom", "bloom"))
    file, out = tmp_path / "test.json", tmp_path / "out.jsonl"
    rows = [{"instruction": V_REG.instruction(f"Post {n}."), "output": "0.5"} for n in range(9)]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    monkeypatch.setenv("EMOSTREAM_MODEL__WRAPPER", "human")
    status, found = predict(file, out, "--model-id", model, "--skip-canary")
    assert status == 0
    assert [row["instruction"] for row in found] == [row["instruction"] for row in rows]
    answers = [row["pred"]["tiny-bloom"] for row in found]
    assert all(answer.startswith("w") for answer in answers)
    assert {row["unreadable"] for row in found} == {"not a number"}
    assert "9 rows, 9 prompts, 9 unreadable answers, 0 errors" in capsys.readouterr().err


def test_a_model_that_has_no_room_for_a_post_is_wrong_usage_without_a_canary_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOSTREAM_MODEL__MAX_INPUT_TOKENS", "30")
    file, out = tmp_path / "posts.csv", tmp_path / "out.jsonl"
    file.write_text("text\nHello\n", encoding="utf-8")
    with pytest.raises(CommandError, match=r"leaves .* tokens for the post") as caught:
        predict(file, out, "--model-id", "small", "--skip-canary")
    assert caught.value.status == 2
