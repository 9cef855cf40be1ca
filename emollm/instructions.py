"""Taking an instruction apart again: which task it asks, of which text, for which emotion."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from emollm.custom import PRESETS
from emollm.prompts import Wrapper
from emollm.tasks import TASKS, Task
from emollm.wordings import WORDINGS

KNOWN_TASKS: Final[Mapping[str, Task]] = {
    **TASKS,
    **{name: preset.task() for name, preset in PRESETS.items()},
}
"""The five trained tasks and the paper's zero-shot ones, by name."""

_README: Final[Mapping[str, str]] = {
    "EI-reg": "Task: {wording}\nText: {text}\nEmotion: {emotion}\nIntensity Score:",
    "EI-oc": "Task: {wording}\nText: {text}\nEmotion: {emotion}\nIntensity Class:",
    "V-reg": "Task: {wording}\nText: {text}\nIntensity Score:",
    "V-oc": "Task: {wording}\nText: {text}\nIntensity Class:",
    "E-c": "Task: {wording}\nText: {text}\nThis text contains emotions:",
}
"""How the authors' README and model cards ask, on several lines. Nothing was trained or scored on
it, but who copies from there asks so."""

_EMOBANK: Final = ("Emobank-valence", "Emobank-arousal", "Emobank-dominance")
"""Its three wordings ask three things; those of any other task ask the same."""


class Instruction(NamedTuple):
    """What an instruction asks."""

    tasks: tuple[str, ...]
    """One name of `KNOWN_TASKS`; several where a wording of one's own doesn't tell which."""
    emotion: str | None
    text: str
    """The post's, as it is in the instruction."""


def unwrapped(prompt: str) -> str:
    """Return a prompt without the wrapper of any model; as it is where it has none.

    The authors' README writes it without the space, and mostly nothing follows `Assistant:`.
    """
    for wrapper in Wrapper:
        before, after = wrapper.value
        if before and prompt.startswith(before) and prompt.endswith(after):
            return prompt[len(before) : len(prompt) - len(after)]
    copied = _COPIED.fullmatch(prompt)
    return prompt if copied is None else copied["instruction"]


def parse(instruction: str) -> Instruction | None:
    """Take an instruction apart, in whatever wording; None where it has no layout of `WORDINGS`."""
    for start, pattern, task in _KNOWN:
        if instruction.startswith(start):
            match = pattern.fullmatch(instruction, len(start))
            if match is not None:
                return _instruction(match, (task,))
    for end, pattern, tasks in _FREE:
        # Its end first: without it the pattern tries each place where a text might begin.
        match = pattern.fullmatch(instruction) if end.search(instruction) is not None else None
        if match is not None:
            return _instruction(match, tasks)
    return None


def _name(source: str, wording: int) -> str:
    return _EMOBANK[wording] if source == "Emobank" else source


def _known() -> Iterator[tuple[str, re.Pattern[str], str]]:
    """What comes before the text in each known wording, a pattern of what comes after, the task."""
    for name, source in WORDINGS.items():
        before, _, after = source.layout.partition("{text}")
        for index, wording in enumerate(source.wordings):
            start = before.replace("{wording}", wording)
            yield (
                start,
                re.compile(f"(?P<text>.*){_pattern(after)}", re.DOTALL),
                _name(name, index),
            )


def _free() -> Iterator[tuple[re.Pattern[str], re.Pattern[str], tuple[str, ...]]]:
    """For each layout patterns of its end, and of all of it with any wording; what it may ask."""
    by_layout: dict[str, list[str]] = {}
    for name, source in WORDINGS.items():
        tasks = (_name(name, index) for index in range(len(source.wordings)))
        by_layout.setdefault(source.layout, []).extend(dict.fromkeys(tasks))
    by_layout.update((layout, [name]) for name, layout in _README.items())
    for layout, found in by_layout.items():
        before, _, after = layout.partition("{text}")
        start = _escaped(before).replace(re.escape("{wording}"), ".*?")
        end = _pattern(after)
        pattern = re.compile(f"{start}(?P<text>.*){end}", re.DOTALL)
        yield re.compile(rf"{end}\Z"), pattern, tuple(found)


def _pattern(after: str) -> str:
    pattern = _escaped(after.rstrip()).replace(re.escape("{emotion}"), r"(?P<emotion>\w+)")
    return rf"{pattern}\s*"


def _escaped(part: str) -> str:
    """Write it as a pattern; spaces at the end of a line don't count."""
    return re.escape(part).replace(re.escape("\n"), r"[ \t]*\n")


_COPIED: Final = re.compile(r"Human:[ \t]*\n(?P<instruction>.*)\n\nAssistant:\s*", re.DOTALL)
# Layouts with an emotion first: the others would take it for a part of the text.
_KNOWN: Final = sorted(_known(), key=lambda one: "emotion" not in one[1].groupindex)
_FREE: Final = sorted(_free(), key=lambda one: "emotion" not in one[1].groupindex)


def _instruction(match: re.Match[str], tasks: tuple[str, ...]) -> Instruction:
    groups = match.groupdict()
    return Instruction(tasks, groups.get("emotion"), groups["text"])
