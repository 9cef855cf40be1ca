"""Recorded answers of a model, found again by what was asked: task, post's text, emotion."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from emollm.canary import CANARIES, Canary
from emollm.instructions import parse, unwrapped
from emollm.readers import Value
from emollm.sanitize import Sanitizer
from emollm.tasks import TASKS
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
    pred: dict[str, str] = {}


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
        if not models:
            raise StartError(
                f"{', '.join(map(str, files))}: answers of no model: each line needs `instruction`"
                " and `pred`, its answer by model"
            )
        if model is None and len(models) == 1:
            model = models[0]
        if model not in models:
            given = "name one with --replay-model" if model is None else f"none of {model}"
            raise StartError(
                f"{', '.join(map(str, files))}: answers of {', '.join(models)}; {given}"
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
        asked = parse(unwrapped(instruction))
        if asked is None or len(asked.tasks) != 1:
            return False
        key = asked.tasks[0], asked.emotion, _folded(asked.text)
        self._answers.setdefault(key, answer)
        return True

    def answer(self, prompt: str) -> str | None:
        """The recorded answer to a prompt, with its model's wrapper or without; else None."""
        instruction = unwrapped(prompt)
        asked = parse(instruction)
        if asked is None:
            return HARMLESS.get(instruction.strip())
        text = _folded(asked.text)
        found = [
            answer
            for task in asked.tasks
            if (answer := self._answers.get((task, asked.emotion, text))) is not None
        ]
        # Two answers: the wording is unknown, and the recording has answers to several questions.
        return found[0] if len(found) == 1 else None


def _lines(file: Path) -> list[_Line]:
    try:
        content = file.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise StartError(f"can't read {file}: {why}") from error
    decoder = msgspec.json.Decoder(_Line)
    lines: list[_Line] = []
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            lines.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StartError(f"{file}, line {number}, is no recorded answer: {error}") from error
    return lines


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
