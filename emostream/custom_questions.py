"""Each custom task asked once, of a harmless text: whether this model can answer it at all."""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from consumer.analysis.model import make_builder
from consumer.settings import ModelServers
from emollm.errors import ModelError
from emollm.pool import advice
from emollm.protocol import ModelClient, ServerInfo
from emollm.readers import Unreadable
from emollm.tasks import TASKS, Task

TEXT: Final = "The meeting was moved from Tuesday to Wednesday at noon."
"""Hand-written, nobody's post: so the answer may be shown."""
_SHOWN_CHARS = 60


class Reply(NamedTuple):
    """What came of a task's question."""

    task: str
    readable: bool
    words: str
    """The answer; or why there is none that can be read, and what to change."""


async def ask_custom_tasks(
    client: ModelClient, info: ServerInfo, options: ModelServers, tasks: tuple[Task, ...]
) -> AsyncIterator[Reply]:
    """Ask what isn't a built-in task, in its first wording; one prompt each.

    Raises:
        ValueError: the model is unknown, or its limits leave no room for a post.
    """
    builder = make_builder(options, info, tasks)
    prepared = builder.prepare(TEXT)
    for task in tasks:
        if task.name in TASKS:
            continue
        prompt = builder.build(task, prepared, next(iter(task.emotions), None))
        answer = await client.generate(prompt.text, prompt.params, timeout_s=options.timeout_s)
        if isinstance(answer, ModelError):
            yield Reply(task.name, readable=False, words=advice(answer, options.section))
            continue
        value = task.read(answer.text, next(iter(task.emotions), None))
        shown = repr(answer.text[:_SHOWN_CHARS])
        if isinstance(value, Unreadable):
            words = (
                f"this model can't answer it: it said {shown} ({value.reason}). Ask a larger model,"
                " or reword wordings, choices or grammar; posts would have it as unanswered"
            )
            yield Reply(task.name, readable=False, words=words)
        else:
            yield Reply(task.name, readable=True, words=f"answered, with {shown}")
