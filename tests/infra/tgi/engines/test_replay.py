"""A server that replays recorded answers, asked over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emollm.models import find_model
from emollm.prompts import PromptBuilder
from emollm.tasks import V_OC, V_REG
from infra.tgi import ServerSettings, StartError, TgiServer
from infra.tgi.engines.replay import PackedVocabulary, ReplayEngine

_MODEL = "Emollama-chat-7b"
_POST = "The bus was late again 🚌"
_CLASS = "-1: slightly negative emotional state can be inferred"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    file = tmp_path / "answers.jsonl"
    lines = [
        {"instruction": V_REG.instruction(f"{_POST}."), "pred": {_MODEL: "0.25", "x": "1"}},
        {"instruction": V_OC.instruction(f"{_POST}."), "pred": {_MODEL: _CLASS, "x": "1"}},
    ]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return file


def _settings(file: Path) -> ServerSettings:
    return ServerSettings(port=0, replay=(file,), replay_model=_MODEL)


@given(st.text())
def test_its_tokens_hold_any_text(text: str) -> None:
    vocabulary = PackedVocabulary()
    encoded = vocabulary.encode(text)
    assert vocabulary.decode(encoded.ids, skip_special=True) == text
    assert "".join(text[start:stop] for start, stop in encoded.offsets) == text
    assert all(0 < one < 1 << 63 for one in encoded.ids)


async def test_prompts_as_the_consumer_builds_them_get_the_recorded_answers(
    recorded: Path,
) -> None:
    async with (
        TgiServer(_settings(recorded)) as server,
        aiohttp.ClientSession(server.url) as client,
    ):
        async with client.get("/info") as response:
            card = find_model((await response.json())["model_id"])
        builder = PromptBuilder([V_REG, V_OC], wrapper=card.wrapper)
        prepared = builder.prepare(_POST)
        for task, expected in ((V_REG, "0.25"), (V_OC, _CLASS)):
            prompt = builder.build(task, prepared, None, 4)
            body = {
                "inputs": prompt.text,
                "parameters": {"max_new_tokens": prompt.params.max_new_tokens, "details": True},
            }
            async with client.post("/generate", json=body) as response:
                answer = await response.json()
            assert answer["generated_text"] == expected
            assert answer["details"]["finish_reason"] == "eos_token"
            async with client.post("/generate_stream", json=body) as response:
                *_, last = (await response.text()).strip().split("\n\n")
            assert json.loads(last.removeprefix("data:"))["generated_text"] == expected


async def test_a_prompt_without_a_recorded_answer_is_refused_as_tgi_refuses(
    recorded: Path,
) -> None:
    async with (
        TgiServer(_settings(recorded)) as server,
        aiohttp.ClientSession(server.url) as client,
    ):
        body = {"inputs": V_REG.instruction("Something else."), "parameters": {}}
        async with client.post("/generate", json=body) as response:
            assert response.status == 422
            refusal = await response.json()
        assert refusal["error_type"] == "validation"
        assert "Something else" not in refusal["error"]
        async with client.get("/health") as response:
            assert response.status == 200


def test_another_recording_is_another_revision(recorded: Path) -> None:
    """Events that rest on other answers have other ids."""
    first = ReplayEngine.load([recorded], model=_MODEL).info.model_sha
    recorded.write_text(recorded.read_text(encoding="utf-8").replace("0.25", "0.3"))
    second = ReplayEngine.load([recorded], model=_MODEL).info.model_sha
    assert first is not None
    assert first != second


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ServerSettings(replay_model="m"), "needs --replay FILE"),
        (ServerSettings(replay=(Path("x"),), model_id="m"), "give one of them"),
        (ServerSettings(replay=(Path("/nowhere/x"),)), "can't read /nowhere/x"),
    ],
)
async def test_flags_that_dont_go_together_are_refused(
    settings: ServerSettings, words: str
) -> None:
    with pytest.raises(StartError, match=words):
        await TgiServer(settings).start()
