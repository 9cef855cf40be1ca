"""JSON lines, gzipped or not: the EmoLLMs' own, what `emostream predict` writes, and events.

The EmoLLMs' own `inference.py` writes `output` alone: the prompt and the answer as one text.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from emollm.instructions import KNOWN_TASKS, parse, unwrapped
from emollm.prompts import Wrapper, is_blank
from emollm.readers import Unreadable
from runtime.encodings import is_utf16
from training.evaluation import labels, tables
from training.evaluation.errors import DataError
from training.evaluation.files import unpacked
from training.evaluation.readings import Predictions, Reading

Line = dict[str, Any]


def objects(path: Path) -> Iterator[tuple[int, Line]]:
    """Yield the JSON objects of a file with their line numbers; blank lines are left out.

    Raises:
        DataError: the file can't be read, or a line is no JSON object.
    """
    decoder = msgspec.json.Decoder(Line)
    with unpacked(path) as lines:
        for number, line in enumerate(lines, start=1):
            if number == 1 and is_utf16(line):
                raise DataError(path, "it is UTF-16: save it again as UTF-8")
            content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if content.strip():
                if content.lstrip().startswith(b"["):
                    what = "a JSON list, and not an object on each line: jq -c '.[]' makes those"
                    raise DataError(path, what, line=number)
                try:
                    found = decoder.decode(content)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise DataError(path, f"no JSON object: {error}", line=number) from error
                yield number, found


def is_event(line: Line) -> bool:
    """Whether a line is an affect event, as `emostream events --json` prints it."""
    return line.keys() >= {"version", "post_id", "processed_at"} and bool(_object(line, "model"))


def gold(
    path: Path, *, text_column: str = "text", scale: labels.Scale | None = None
) -> Iterator[Reading]:
    """Read the gold labels: `output` of an instruction, or keys named as questions.

    Raises:
        DataError: a line holds no labels, or one that can't be read.
    """
    for number, line in objects(path):
        if not _has_instruction(line):
            if half := next(filter(None, map(labels.half_named, line)), None):
                raise DataError(path, f"the key {half}", line=number)
            found = list(
                tables.row_labels(
                    line, path=path, line=number, text_column=text_column, scale=scale
                )
            )
            if not any(labels.question(name) for name in line):
                raise DataError(
                    path, "neither an instruction nor a key named as a question", line=number
                )
            yield from found
            continue
        asked = _instruction(path, number, line)
        task = KNOWN_TASKS[asked.task]
        value = labels.scaled_value(line.get("output"), task, asked.emotion, scale)
        if isinstance(value, Unreadable):
            raise DataError(path, f"the gold `output` can't be read: {value.reason}", line=number)
        yield msgspec.structs.replace(asked, value=value)


def predictions(path: Path, *, text_column: str = "text", name: str | None = None) -> Predictions:
    """Read what models answered, by model; empty where the lines have gold labels only.

    Answers of no model are filed under `name`, the file's where None.

    Raises:
        DataError: a line can't be read.
    """
    found: Predictions = {}
    for number, line in objects(path):
        if is_event(line):
            model, readings = _event(line)
            found.setdefault(model, []).extend(readings)
            continue
        asks = _taken_apart(line)
        if _has_instruction(asks):
            answers = asks.get("pred")
            if isinstance(answers, str):
                answers = {name or path.name: answers}
            if not isinstance(answers, dict):
                continue
            asked = _instruction(path, number, asks)
            task = KNOWN_TASKS[asked.task]
            for model, answer in answers.items():
                value = (
                    task.read(answer, asked.emotion)
                    if isinstance(answer, str)
                    else Unreadable("no answer")
                )
                one = msgspec.structs.replace(asked, value=value)
                found.setdefault(model, []).append(one)
        elif "values" in line and isinstance(line.get("model"), str):
            found.setdefault(line["model"], []).extend(_values(line, text_column))
    return found


def _taken_apart(line: Line) -> Line:
    """Part the prompt from the answer in a line of the EmoLLMs' own script; others stay."""
    before, after = Wrapper.HUMAN.value
    said = line.get("output")
    if _has_instruction(line) or not isinstance(said, str) or not said.startswith(before):
        return line
    instruction, found, answer = said.removeprefix(before).partition(after)
    return {**line, "instruction": instruction, "pred": answer} if found else line


def _has_instruction(line: Line) -> bool:
    """Whether a line asks by an instruction; one without may be a post, as `predict` has it."""
    instruction = line.get("instruction")
    return isinstance(instruction, str) and not is_blank(instruction)


def _instruction(path: Path, number: int, line: Line) -> Reading:
    instruction = line["instruction"]
    asked = parse(unwrapped(instruction))
    if asked is None or len(asked.tasks) != 1:
        raise DataError(path, "an instruction of none of the EmoLLMs' tasks", line=number)
    task = KNOWN_TASKS[asked.tasks[0]]
    if (asked.emotion or None) not in (task.emotions or (None,)):
        raise DataError(path, f"an emotion that {task.name} isn't asked for", line=number)
    return Reading(
        task=task.name,
        emotion=asked.emotion,
        text=asked.text,
        id=tables.post_id(line),
        instruction=unwrapped(instruction),
        value=Unreadable("no label"),
    )


def _values(line: Line, text_column: str) -> Iterator[Reading]:
    """Readings of a post as `emostream predict` writes them."""
    text = line.get(text_column)
    id_ = tables.post_id(line)
    unreadable = _object(line, "unreadable")
    for name, label in [*_object(line, "values").items(), *unreadable.items()]:
        asked = labels.question(name)
        if asked is not None:
            task, emotion = asked
            value = (
                Unreadable(str(label))
                if name in unreadable
                else labels.value_of(label, task, emotion)
            )
            yield Reading(
                task=task.name,
                emotion=emotion,
                value=value,
                id=id_,
                text=text if isinstance(text, str) else "",
            )


def _event(line: Line) -> tuple[str, list[Reading]]:
    """The readings of an affect event; what had no readable answer is `Unreadable`."""
    found: dict[str, object] = {}
    sentiment = _object(line, "sentiment")
    if "valence" in sentiment:
        found["V-reg"] = sentiment["valence"]
    if "class" in sentiment:
        found["V-oc"] = sentiment["class"]
    if "emotions" in line:
        found["E-c"] = line["emotions"]
    for field, task_name in (("intensity", "EI-reg"), ("intensity_class", "EI-oc")):
        for emotion, label in _object(line, field).items():
            found[f"{task_name}:{emotion}"] = label
    found |= {
        name: label for name, label in _object(line, "custom").items() if labels.question(name)
    }
    whole = {
        "id": line["post_id"],
        "text": line.get("text"),
        "values": found,
        "unreadable": line.get("unanswered"),
    }
    return _reader(line), list(_values(whole, "text"))


def _reader(line: Line) -> str:
    """Whose reading an event is. A mean of two models is neither's, its emotions the second's."""
    model = str(line["model"].get("id"))
    second = _object(_object(line, "models"), "second").get("id")
    return f"{model} + {second}" if line.get("opinion") == "both" and second else model


def _object(line: Line, name: str) -> Line:
    """The JSON object of that name; empty where there is none, or something else."""
    found = line.get(name)
    return found if isinstance(found, dict) else {}
