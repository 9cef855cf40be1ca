"""Recorded answers of a model, found again by what was asked: task, post's text, emotion."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from emollm.canary import CANARIES, Canary
from emollm.prompts import Wrapper
from emollm.readers import Value
from emollm.sanitize import Sanitizer
from emollm.tasks import TASKS
from emollm.wordings import WORDINGS
from infra.tgi.errors import StartError
from infra.tgi.events import ServerEvent

_GZIP = b"\x1f\x8b"

#: Prompts that need no right answer, only an answer: what the pool of model servers asks a server
#: that failed (`emollm.pool.health.PROBE_TEXT`), and what /health asks the engine.
HARMLESS = {"How are you today?": "Fine.", "liveness": "Fine."}

_log = structlog.get_logger(__name__)


class _Line(msgspec.Struct):
    """One line of a recording; further fields are ignored."""

    instruction: str
    pred: dict[str, str]


class _Asked(NamedTuple):
    """What a prompt asks. Several `questions` where its wording doesn't tell which it is."""

    questions: tuple[str, ...]
    emotion: str | None
    text: str


class Recording:
    """The answers of one model. `answer` finds them whatever the wording of the prompt.

    It also knows the canary's texts, with answers of its own making, so that a consumer accepts
    the server.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self._answers: dict[tuple[str, str | None, str], str] = {}
        for canary in CANARIES:
            key = canary.task, canary.emotion, _folded(canary.text)
            answer = TASKS[canary.task].write(_plausible(canary), canary.emotion)
            self._answers.setdefault(key, answer)

    @classmethod
    def load(cls, files: Sequence[Path], model: str | None) -> Recording:
        """Read JSON lines, gzipped or not: `instruction`, and `pred`, the answer by model.

        `model` may be None where the files hold only one. Raises `StartError`.
        """
        lines = [line for file in files for line in _lines(file)]
        models = sorted({name for line in lines for name in line.pred})
        if model is None and len(models) == 1:
            model = models[0]
        if model not in models:
            given = "name one with --replay-model" if model is None else f"none of {model}"
            raise StartError(
                f"{', '.join(map(str, files))}: answers of {', '.join(models) or 'no model'}; "
                f"{given}"
            )
        recording = cls(model)
        skipped = sum(
            not recording.add(line.instruction, line.pred[model])
            for line in lines
            if model in line.pred
        )
        if skipped:
            _log.warning(ServerEvent.REPLAY_SKIPPED, lines=skipped)
        return recording

    def add(self, instruction: str, answer: str) -> bool:
        """Keep an answer, the first one to a question; False where no task asks in this way."""
        asked = _parse(instruction)
        if asked is None or len(asked.questions) != 1:
            return False
        key = asked.questions[0], asked.emotion, _folded(asked.text)
        self._answers.setdefault(key, answer)
        return True

    def answer(self, prompt: str) -> str | None:
        """The recorded answer to a prompt, with its model's wrapper or without; else None."""
        instruction = _unwrapped(prompt)
        asked = _parse(instruction)
        if asked is None:
            return HARMLESS.get(instruction.strip())
        text = _folded(asked.text)
        found = [
            answer
            for question in asked.questions
            if (answer := self._answers.get((question, asked.emotion, text))) is not None
        ]
        # Two answers: the wording is unknown, and the recording has answers to several questions.
        return found[0] if len(found) == 1 else None


def _lines(file: Path) -> list[_Line]:
    try:
        content = file.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise StartError(f"can't read {file}: {error}") from error
    decoder = msgspec.json.Decoder(_Line)
    lines: list[_Line] = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            lines.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StartError(f"{file}, line {number}, is no recorded answer: {error}") from error
    return lines


def _unwrapped(prompt: str) -> str:
    for wrapper in Wrapper:
        before, after = wrapper.value
        if before and prompt.startswith(before) and prompt.endswith(after):
            return prompt[len(before) : len(prompt) - len(after)]
    return prompt


def _question(task: str, wording: int) -> str:
    """What a task asks in a wording. Emobank's three ask three things, those of others the same."""
    return f"{task}:{wording}" if task == "Emobank" else task


def _known() -> Iterator[tuple[str, re.Pattern[str], str]]:
    """What comes before the text in each known wording, a pattern of what comes after, question."""
    for task, source in WORDINGS.items():
        before, _, after = source.layout.partition("{text}")
        for index, wording in enumerate(source.wordings):
            start = before.replace("{wording}", wording)
            yield (
                start,
                re.compile(f"(?P<text>.*){_pattern(after)}", re.DOTALL),
                _question(task, index),
            )


def _free() -> Iterator[tuple[re.Pattern[str], tuple[str, ...]]]:
    """For each layout a pattern with any wording, and the questions that it may be."""
    by_layout: dict[str, list[str]] = {}
    for task, source in WORDINGS.items():
        questions = (_question(task, index) for index in range(len(source.wordings)))
        by_layout.setdefault(source.layout, []).extend(dict.fromkeys(questions))
    for layout, found in by_layout.items():
        before, _, after = layout.partition("{text}")
        start = re.escape(before).replace(re.escape("{wording}"), ".*?")
        pattern = f"{start}(?P<text>.*){_pattern(after)}"
        yield re.compile(pattern, re.DOTALL), tuple(found)


def _pattern(after: str) -> str:
    pattern = re.escape(after.rstrip()).replace(re.escape("{emotion}"), r"(?P<emotion>\w+)")
    return rf"{pattern}\s*"


# Layouts with an emotion first: the others would take it for a part of the text.
_KNOWN = sorted(_known(), key=lambda one: "emotion" not in one[1].groupindex)
_FREE = sorted(_free(), key=lambda one: "emotion" not in one[0].groupindex)


def _parse(instruction: str) -> _Asked | None:
    for start, pattern, question in _KNOWN:
        if instruction.startswith(start):
            match = pattern.fullmatch(instruction, len(start))
            if match is not None:
                return _asked(match, (question,))
    for pattern, questions in _FREE:
        match = pattern.fullmatch(instruction)
        if match is not None:
            return _asked(match, questions)
    return None


def _asked(match: re.Match[str], questions: tuple[str, ...]) -> _Asked:
    groups = match.groupdict()
    return _Asked(questions, groups.get("emotion"), groups["text"])


_SANITIZER = Sanitizer()


def _folded(text: str) -> str:
    """A text as it is looked up: made harmless as prompts are, without the last full stop."""
    return _SANITIZER.clean(text)[0].strip().removesuffix(".").rstrip()


def _plausible(canary: Canary) -> Value:
    """An answer that the canary takes."""
    if canary.any_of:
        return tuple(sorted(canary.any_of))
    low, high = canary.minimum, canary.maximum
    if canary.task.endswith("-oc"):
        return int(low if low is not None else high or 0)
    return ((0.0 if low is None else low) + (1.0 if high is None else high)) / 2
