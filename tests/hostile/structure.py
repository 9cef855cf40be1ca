"""Token by token: what of a prompt is the project's and what is the post's."""

from collections.abc import Sequence
from typing import NamedTuple

from emollm.prompts import PromptBuilder
from emollm.sanitize import labels_of
from emollm.tasks import TASKS, Task
from tests.hostile.layouts import Layout

QUESTIONS: tuple[tuple[Task, str | None], ...] = (
    *((TASKS["EI-reg"], "anger"), (TASKS["EI-oc"], "joy"), (TASKS["V-reg"], None)),
    *((TASKS["V-oc"], None), (TASKS["E-c"], None)),
)
_HARMLESS = ("Alpha beta gamma!", "Zebras run 9 miles today.")
"""Two posts that share no beginning and no end: what their prompts share is the structure."""
_ROLES = ("Human", "Assistant")


class Frame(NamedTuple):
    """What is around a post, as ids, and what must not be in it."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    labels: tuple[tuple[int, ...], ...]
    special: frozenset[int]

    def broken_by(self, ids: Sequence[int]) -> str | None:
        """Say what a prompt's ids break; None where the structure stays."""
        before, after = len(self.before), len(self.after)
        if tuple(ids[:before]) != self.before:
            return "the instruction before the post changed"
        if tuple(ids[len(ids) - after :]) != self.after:
            return "the question after the post changed"
        post = tuple(ids[before : len(ids) - after])
        if len(ids) < before + after or not post:
            return "the post is gone"
        if self.special.intersection(post):
            return "a special token is in the post"
        if any(_holds(post, label) for label in self.labels):
            return "a label or a role is in the post"
        return None


class Family:
    """One family's prompts, by its tokenizer."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        tasks = [task for task, _ in QUESTIONS]
        self._builder = PromptBuilder(tasks, wrapper=layout.wrapper, max_input_tokens=2_000)
        self._frames = {
            (task.name, emotion): self._frame(task, emotion) for task, emotion in QUESTIONS
        }

    def broken(self, text: str, *, sanitized: bool = True) -> str | None:
        """Ask each question about a text; say what the first broken prompt lost, else None.

        Without `sanitized` the text goes in as it came: that is what would happen.
        """
        prepared = self._builder.prepare(text)
        for task, emotion in QUESTIONS:
            prompt = self._builder.build(task, prepared, emotion).text
            if not sanitized:
                assert prompt.count(prepared.text) >= 1
                prompt = prompt.replace(prepared.text, text)
            found = self._frames[task.name, emotion].broken_by(self.ids(prompt))
            if found is not None:
                return f"{task.name}: {found}"
        return None

    def ids(self, prompt: str) -> list[int]:
        """The ids that a server gives to the model."""
        ids: list[int] = self.layout.tokenizer.encode(prompt).ids
        return ids

    def _frame(self, task: Task, emotion: str | None) -> Frame:
        one, other = (
            self.ids(self._builder.build(task, self._builder.prepare(text), emotion).text)
            for text in _HARMLESS
        )
        before = _shared(one, other)
        after = _shared(one[::-1], other[::-1])
        assert before > 3 or self.layout.models == "emostream-small"
        return Frame(
            before=tuple(one[:before]),
            after=tuple(one[len(one) - after :]),
            labels=self._labels(task),
            special=self.layout.special,
        )

    def _labels(self, task: Task) -> tuple[tuple[int, ...], ...]:
        """Each label as it is tokenized at a word's beginning, and at a line's.

        None for the small model: its tokenizer makes one sign of the whole instruction and one of
        the question, so that labels structure nothing.
        """
        if self.layout.models == "emostream-small":
            return ()
        found = set()
        for label in (*labels_of(task.layout), *_ROLES):
            for lead in ("", " "):
                encoded = self.layout.tokenizer.encode(f"{lead}{label}:", add_special_tokens=False)
                found.add(tuple(encoded.ids))
        return tuple(found)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _holds(ids: tuple[int, ...], label: tuple[int, ...]) -> bool:
    length = len(label)
    return any(ids[at : at + length] == label for at in range(len(ids) - length + 1))
