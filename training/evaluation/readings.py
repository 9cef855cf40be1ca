"""One label or one prediction of one post, and how two sides of them are matched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from emollm.readers import Unreadable, Value
from emollm.sanitize import Sanitizer
from training.evaluation.zero_shot import UNIT_SCALES, UNIT_TASK, mapped

_SANITIZER: Final = Sanitizer()


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody read in a post: people (a gold label) or a model (a prediction)."""

    task: str
    """A name of `emollm.instructions.KNOWN_TASKS`."""
    emotion: str | None = None
    value: Value | Unreadable
    id: str = ""
    """The post's; empty where the source has none."""
    text: str = ""
    """The post's; empty where the source has none."""
    instruction: str = ""
    """The whole instruction where the source has it: it is asked as it is."""

    @property
    def question(self) -> str:
        """Name of what was asked: `V-reg`, `EI-reg:anger`."""
        return f"{self.task}:{self.emotion}" if self.emotion else self.task


Predictions = dict[str, list[Reading]]
"""The predictions of each model, by its name."""

Pair = tuple[Reading, Value | Unreadable | None]
"""A gold label and what was predicted; None where nothing was."""


def folded(text: str) -> str:
    """A text as it is compared: cleaned as prompts are, without its last full stop."""
    return _SANITIZER.clean(text)[0].strip().removesuffix(".").rstrip()


def matched(gold: Sequence[Reading], predicted: Sequence[Reading]) -> list[Pair]:
    """Find each gold label's prediction: of the post with the same id, else with the same text.

    Where both sides have the whole instruction, the answer to the same one comes first: a post may
    be asked in several wordings. An id that is no post's own (`shared_ids`) finds nothing. Of
    several predictions that are left the first counts. A zero-shot set that has none of its own
    takes V-reg's, mapped from 0..1 to its scale.
    """
    shared = shared_ids(gold)
    known: dict[tuple[str, str, str, str], Value | Unreadable] = {}
    for one in predicted:
        for key in _keys(one):
            known.setdefault((one.question, *key), one.value)

    def of(question: str, one: Reading) -> Value | Unreadable | None:
        lone = (one.question, one.id) not in shared
        keys = (key for key in _keys(one) if lone or key != (one.id, "", ""))
        found = (known.get((question, *key)) for key in keys)
        return next((value for value in found if value is not None), None)

    pairs: list[Pair] = []
    for one in gold:
        value = of(one.question, one)
        if value is None and one.task in UNIT_SCALES:
            value = mapped(of(UNIT_TASK.name, one), one.task)
        pairs.append((one, value))
    return pairs


def _keys(one: Reading) -> Iterator[tuple[str, str, str]]:
    """What finds the other side's reading, the surest first: id, instruction and text, or less."""
    if one.id and one.instruction:
        yield one.id, one.instruction, ""
    if one.id:
        yield one.id, "", ""
    if one.instruction:
        yield "", one.instruction, ""
    if one.text:
        yield "", "", folded(one.text)


def shared_ids(gold: Sequence[Reading]) -> set[tuple[str, str]]:
    """Find the ids that one question's labels give to several texts, each with the question.

    They are an author's or a thread's, say: no prediction is found by them.
    """
    texts: dict[tuple[str, str], str] = {}
    found: set[tuple[str, str]] = set()
    for one in gold:
        if one.id and one.text:
            key, text = (one.question, one.id), folded(one.text)
            if texts.setdefault(key, text) != text:
                found.add(key)
    return found


def strangers(gold: Sequence[Reading], predicted: Sequence[Reading]) -> list[str]:
    """Name the ids whose texts differ, where so many do that these can't be the same posts.

    Some may differ: events hold handles as hashes, and texts may have been shortened.
    """
    texts = {one.id: folded(one.text) for one in predicted if one.id and one.text}
    shared = {post for _, post in shared_ids(gold)}
    both = {
        one.id: folded(one.text)
        for one in gold
        if one.text and one.id in texts and one.id not in shared
    }
    differ = [post for post, text in both.items() if text != texts[post]]
    return differ if 2 * len(differ) > len(both) else []
