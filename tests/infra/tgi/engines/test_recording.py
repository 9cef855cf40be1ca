"""A recorded answer is found by what was asked, however it was asked."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from emollm.canary import CANARIES
from emollm.pool.health import PROBE_TEXT
from emollm.prompts import PromptBuilder, Wrapper
from emollm.tasks import E_C, EI_REG, TASKS, V_REG, Task
from emollm.wordings import WORDINGS
from infra.tgi.engines.recording import HARMLESS, Recording
from infra.tgi.errors import StartError
from infra.tgi.events import ServerEvent

_POST = "The bus was late again, what a day"


def _prompt(task: Task, text: str, emotion: str | None = None, wording: int = 0) -> str:
    builder = PromptBuilder([task])
    return builder.build(task, builder.prepare(text), emotion, wording).text


@pytest.fixture
def recording() -> Recording:
    made = Recording("some-model")
    made.add(EI_REG.instruction(f"{_POST}.", "anger", 3), "0.61")
    made.add(EI_REG.instruction(f"{_POST}.", "joy", 2), "0.05")
    made.add(V_REG.instruction(f"{_POST}.", None, 1), "0.25")
    made.add(E_C.instruction(f"{_POST}.", None, 5), "anger, pessimism.")
    return made


@pytest.mark.parametrize("wording", range(10))
def test_any_of_the_wordings_finds_it(recording: Recording, wording: int) -> None:
    assert recording.answer(_prompt(EI_REG, _POST, "anger", wording)) == "0.61"
    assert recording.answer(_prompt(EI_REG, _POST, "joy", wording)) == "0.05"
    assert recording.answer(_prompt(V_REG, _POST, None, wording)) == "0.25"
    assert recording.answer(_prompt(E_C, _POST, None, wording)) == "anger, pessimism."


def test_a_wording_of_ones_own_finds_it(recording: Recording) -> None:
    own = f"Task: How cross is the writer? Tweet: {_POST}. Emotion E: anger. Intensity Score: "
    assert recording.answer(own) == "0.61"


@pytest.mark.parametrize("text", [_POST, f"{_POST}.", f" {_POST}. ", _POST.replace(" ", "\u200b ")])
def test_a_full_stop_and_what_prompts_clean_away_make_no_difference(text: str) -> None:
    made = Recording("m")
    made.add(V_REG.instruction(text), "0.4")
    assert made.answer(_prompt(V_REG, text.strip())) == "0.4"


@pytest.mark.parametrize("wrapper", list(Wrapper))
def test_the_models_wrapper_makes_no_difference(recording: Recording, wrapper: Wrapper) -> None:
    before, after = wrapper.value
    assert recording.answer(before + V_REG.instruction(_POST) + after) == "0.25"


@pytest.mark.parametrize(
    ("task", "text", "emotion"),
    [(EI_REG, _POST, "fear"), (EI_REG, f"{_POST} really", "anger"), (TASKS["V-oc"], _POST, None)],
    ids=["emotion", "text", "task"],
)
def test_what_was_not_asked_has_no_answer(
    recording: Recording, task: Task, text: str, emotion: str | None
) -> None:
    assert recording.answer(_prompt(task, text, emotion)) is None


@pytest.mark.parametrize("prompt", ["", "Tell me a story.", "Task: this is no task"])
def test_what_is_no_instruction_has_no_answer(recording: Recording, prompt: str) -> None:
    assert recording.answer(prompt) is None


def test_wordings_that_ask_different_things_are_told_apart() -> None:
    """Emobank's three ask valence, arousal and dominance of the same text in one layout."""
    source = WORDINGS["Emobank"]
    asked = [
        source.layout.replace("{wording}", wording).replace("{text}", "He sat down.")
        for wording in source.wordings
    ]
    made = Recording("m")
    for number, instruction in enumerate(asked):
        assert made.add(instruction, str(number))
    assert [made.answer(instruction) for instruction in asked] == ["0", "1", "2"]
    unknown = source.layout.replace("{wording}", "How is it?").replace("{text}", "He sat down.")
    assert made.answer(unknown) is None


def test_the_canary_takes_its_answers_to_the_known_texts() -> None:
    made = Recording("m")
    for canary in CANARIES:
        answer = made.answer(_prompt(TASKS[canary.task], canary.text, canary.emotion))
        assert answer is not None
        assert canary.check(answer) is None


def test_the_pools_harmless_prompt_is_answered() -> None:
    assert PROBE_TEXT in HARMLESS
    assert Recording("m").answer(PROBE_TEXT)


def _lines(*models: str) -> bytes:
    lines = [
        {"instruction": V_REG.instruction(_POST), "pred": dict.fromkeys(models, "0.25")},
        {"instruction": "Tell me a story.", "pred": dict.fromkeys(models, "Once.")},
    ]
    return b"\n".join(json.dumps(line).encode() for line in lines) + b"\n\n"


@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_is_read_gzipped_or_not(tmp_path: Path, *, zipped: bool) -> None:
    file = tmp_path / "answers"
    file.write_bytes(gzip.compress(_lines("a")) if zipped else _lines("a"))
    with capture_logs() as logs:
        made = Recording.load([file], None)
    assert made.model == "a"
    assert made.answer(_prompt(V_REG, _POST)) == "0.25"
    assert [(one["event"], one["lines"]) for one in logs] == [(ServerEvent.REPLAY_SKIPPED, 1)]


def test_a_byte_order_mark_and_the_models_wrapper_make_no_difference(tmp_path: Path) -> None:
    before, after = Wrapper.HUMAN.value
    line = {"instruction": before + V_REG.instruction(_POST) + after, "pred": {"a": "0.25"}}
    file = tmp_path / "answers"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(line).encode() + b"\r\n")
    assert Recording.load([file], None).answer(_prompt(V_REG, _POST)) == "0.25"


@pytest.mark.parametrize(
    ("content", "model", "words"),
    [
        (_lines("a", "b"), None, "answers of a, b; name one with --replay-model"),
        (_lines("a", "b"), "c", "answers of a, b; none of c"),
        (b"", None, "answers of no model: each line needs"),
        (b"", "a", "answers of no model: each line needs"),
        (b'{"instruction": 5}\n', "a", "line 1, is no recorded answer"),
        (b"\x1f\x8bnot gzip", "a", "can't read"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xff", "a", "can't read"),
        (b'{"instruction": ' + b"[" * 100_000, "a", "line 1, is no recorded answer"),
        (None, "a", "can't read"),
    ],
)
def test_a_file_that_cant_be_used_is_refused_with_what_is_in_it(
    tmp_path: Path, content: bytes | None, model: str | None, words: str
) -> None:
    file = tmp_path / "answers"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StartError, match=words):
        Recording.load([file], model)
