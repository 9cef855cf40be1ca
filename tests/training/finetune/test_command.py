"""`emostream train`: data, a model that learns, and how it is served."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from consumer.analysis.model import describe
from consumer.settings import Model
from emollm.clients import ServerOptions
from emollm.pool import PoolOptions, open_pool
from emollm.prompts import PromptBuilder, Wrapper
from emollm.protocol import PoolAnswer
from emollm.tasks import V_REG
from emostream.command_line import make_app
from emostream.exits import explain
from infra.tgi import ServerSettings, TgiServer
from tests.training.finetune import semeval, tiny
from training.finetune.records import read, write


def run(*words: str) -> Any:
    return make_app(overview=False)(["train", *words], exit_on_error=False)


def test_data_writes_the_authors_files_and_counts_beside_the_papers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("train", "dev"):
        semeval.write(tmp_path / "in", part, dict.fromkeys(semeval.SIZES[part], 2))
    run("data", str(tmp_path / "in"), str(tmp_path / "aaid"))
    assert len(read(tmp_path / "aaid" / "train.json")) == 220
    said = capsys.readouterr().out
    assert "train.json: 220 records (the paper has 234,040)" in said
    assert "dev.json: 220 records (the paper has 47,120)" in said


def test_a_copy_in_a_subfolder_makes_no_records_twice_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("train", "dev"):
        for folder in ("in", "in/again"):
            semeval.write(tmp_path / folder, part, dict.fromkeys(semeval.SIZES[part], 2))
    run("data", str(tmp_path / "in"), str(tmp_path / "aaid"))
    assert len(read(tmp_path / "aaid" / "train.json")) == 220
    said = capsys.readouterr().err
    assert "again/E-c-En-train.txt repeats E-c-En-train.txt: it counts once" in said


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaMA that has learnt what each word is worth, by the command itself."""
    folder = tmp_path_factory.mktemp("taught")
    tiny.save(folder / "base", "llama")
    write(tiny.task(800), folder / "train.json")
    write(tiny.task(40, seed=9), folder / "dev.json")
    return folder


async def test_a_tiny_model_learns_a_tiny_task_and_answers_as_a_server(
    taught: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A correlation of .95 and more on posts that it never saw; its server needs no flag."""
    plan = {"batch": 16, "learning-rate": 5e-3, "max-steps": 100, "evaluations": 2, "device": "cpu"}
    words = [f"--{name}={value}" for name, value in plan.items()]
    out = taught / "out"
    await asyncio.to_thread(
        run, "run", str(taught / "base"), str(out), "--data", str(taught), *words, "--json"
    )
    found = json.loads(capsys.readouterr().out)
    scores = found["scores"]["models"]["out"]["V-reg"]
    assert scores["metrics"]["pearson"] >= 0.95, scores
    assert (scores["items"], scores["unreadable"], scores["missing"]) == (scores["scored"], 0, 0)
    assert found["training"]["steps"] == 100
    assert json.loads((out / "scores.json").read_bytes())["V-reg"] == scores
    card = (out / "README.md").read_text(encoding="utf-8")
    assert 'wrapper = "human"' in card
    assert "| V-reg | " in card
    async with TgiServer(ServerSettings(model_id=str(out), port=0, engine="torch")) as server:
        pool = await open_pool([ServerOptions(url=server.url)], PoolOptions(), wait_s=60)
        try:
            asked = describe(Model(), pool.info)  # neither a table nor a configuration names it
            assert (asked.name, asked.wrapper) == ("out", Wrapper.HUMAN)
            builder = PromptBuilder([V_REG], wrapper=asked.wrapper, max_input_tokens=250)
            prompts = [
                builder.build(V_REG, builder.prepare(f"the {word} sea")) for word in tiny.WORDS
            ]
            answers = await pool.ask(prompts)
        finally:
            await pool.aclose()
    said = {
        word: one.text if isinstance(one, PoolAnswer) else one
        for word, one in zip(tiny.WORDS, answers, strict=True)
    }
    assert said == {word: str(value) for word, value in tiny.WORDS.items()}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch", "10", "--device-batch", "4"], "no multiple of --device-batch"),
        (["--epochs", "0"], "--epochs 0"),
        (["--data", "nowhere"], "no such file or folder"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(words: list[str], message: str) -> None:
    data = [] if "--data" in words else ["--data", "x.json"]
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever: it is explained below
        run("run", "base", "out", *data, *words)
    status, said = explain(caught.value)
    assert status == 2
    assert said is not None
    assert message in said
