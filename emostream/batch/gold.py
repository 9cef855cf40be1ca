"""Putting the questions of gold labels to a model, to score its answers."""

from collections.abc import Callable, Sequence

import msgspec

from emollm.errors import Poison
from emollm.instructions import KNOWN_TASKS
from emollm.prompts import is_blank
from emollm.protocol import PoolAnswer, Prompt
from emollm.readers import Unreadable
from emollm.tasks import Task
from emostream.batch.model import BatchModel
from training.evaluation.readings import Reading
from training.evaluation.zero_shot import UNIT_SCALES, UNIT_TASK

_CHUNK = 1_000
"""Prompts given to the pool at once: enough to keep every server busy, little memory."""


def asked_task(gold: Reading) -> Task:
    """Return the task that a label is asked as: valence on other scales is asked from 0 to 1."""
    if gold.task in UNIT_SCALES and not gold.instruction:
        return UNIT_TASK
    return KNOWN_TASKS[gold.task]


def can_be_asked(gold: Reading) -> bool:
    """Whether a label has its instruction or its post's text."""
    return bool(gold.instruction) or not is_blank(gold.text)


async def ask_gold(
    model: BatchModel,
    gold: Sequence[Reading],
    *,
    wording: int,
    progress: Callable[[int], None],
    note: Callable[[str], None] = lambda _: None,
) -> list[Reading]:
    """Ask the model what people were asked; prompts of one task together, and each only once.

    Labels without a text have nothing to ask. `wording` counts from 0 and starts over at a task's
    last one. `progress` is told how many questions were answered, `note` in a sentence how many
    texts lost their ends.

    Raises:
        emollm.errors.Stop: no server can be asked until a human acts.
    """
    questions: dict[str, tuple[Reading, Prompt]] = {}
    cut: set[str] = set()
    for one in sorted(filter(can_be_asked, gold), key=lambda one: one.question):
        prompt, truncated = _prompt(model, one, wording)
        questions.setdefault(prompt.text, (one, prompt))
        if truncated:
            cut.add(one.text)
    if cut:
        note(f"too long for the model, which reads their beginnings: {len(cut):,} of the texts")
    found: list[Reading] = []
    waiting = list(questions.values())
    for start in range(0, len(waiting), _CHUNK):
        chunk = waiting[start : start + _CHUNK]
        answers = await model.pool.ask([prompt for _, prompt in chunk])
        for (one, _), answer in zip(chunk, answers, strict=True):
            task = asked_task(one)
            if isinstance(answer, PoolAnswer):
                value = task.read(answer.text, one.emotion)
            elif isinstance(answer, Poison):
                value = Unreadable(f"refused by the model server: {answer}")
            else:
                raise answer
            found.append(msgspec.structs.replace(one, task=task.name, value=value))
        progress(len(found))
    return found


def _prompt(model: BatchModel, one: Reading, wording: int) -> tuple[Prompt, bool]:
    """Build a label's prompt, and say whether its text lost its end."""
    if one.instruction:
        return model.prompt(one.instruction, one.task), False
    task = asked_task(one)
    prepared = model.builder.prepare(one.text)
    prompt = model.builder.build(task, prepared, one.emotion, wording % len(task.wordings))
    return prompt, prepared.truncated
