"""The canary: a server takes posts only once it has answered known texts as the model would."""

import asyncio
from collections.abc import Awaitable, Callable

from consumer.analysis.model import describe, make_builder
from consumer.settings import ModelServers
from emollm.canary import Canary, canaries_for
from emollm.errors import GenerationFailed, ModelError, Overloaded, Poison, WrongModel
from emollm.models import pairing_remedy
from emollm.pool import remedy
from emollm.protocol import Generation, ModelClient, Prompt
from emollm.tasks import TASKS, Task

_AT_ONCE = 4
"""Canaries in flight: a server that others are using is not pushed over its limit by ours."""
_TRIES = 4
"""Of each canary. A server that fails one request in ten is of use, and would pass all nine at once
in two proofs of five."""
_PAUSE_S = 0.05


def prover(
    options: ModelServers, tasks: tuple[Task, ...]
) -> Callable[[ModelClient], Awaitable[ModelError | None]]:
    """Make what the pool asks of each server at start, and when it comes back from a failure.

    It gives None, or why the server can't be used: WrongModel with the model and the answers
    that are unreadable or implausible, or the error that came instead of an answer.
    """

    async def prove(client: ModelClient) -> ModelError | None:
        info = await client.info(timeout_s=options.timeout_s)
        if isinstance(info, ModelError):
            return info
        try:
            builder = make_builder(options, info, tasks)
        except ValueError as error:  # an unknown model is one, too
            return WrongModel(str(error), server=client.url)
        by_name = {task.name: task for task in tasks}
        canaries = (*canaries_for(tasks), *_harmless(tasks))
        prompts = [
            builder.build(by_name[c.task], builder.prepare(c.text), c.emotion) for c in canaries
        ]
        # No more at once than the server takes: it would refuse the rest (429), at every try.
        at_once = min(_AT_ONCE, info.max_concurrent_requests or _AT_ONCE)
        answers = await _ask_all(client, prompts, at_once, options.timeout_s)
        if isinstance(answers, ModelError):
            return answers
        wrong: list[str] = []
        refused: list[Poison] = []
        for canary, answer in zip(canaries, answers, strict=True):
            if isinstance(answer, Poison):
                refused.append(answer)
                wrong.append(f"{canary.key} of a known text was refused: {answer}")
            elif canary.task in TASKS and (problem := canary.check(answer.text)):
                wrong.append(problem)
        if not wrong:
            return None
        model = options.name or info.model_id
        pairing = pairing_remedy(describe(options, info), info)
        todo = pairing or _todo(refused if len(refused) == len(canaries) else [], options.section)
        return WrongModel(
            f"{model} at {client.url} does not answer as an EmoLLM would ({len(wrong)} of"
            f" {len(canaries)} known texts): {wrong[0]}. {todo}.",
            server=client.url,
        )

    return prove


def _todo(all_refused: list[Poison], section: str) -> str:
    if all_refused:  # too small a limit, more likely than another model
        return f"If it is the right model, {remedy(all_refused[0], section)}"
    return "Check which model the server loaded, and that this server can serve it (docs/models.md)"


async def _ask_all(
    client: ModelClient, prompts: list[Prompt], at_once: int, timeout_s: float
) -> list[Generation | Poison] | ModelError:
    """Ask these, some at once; the first failure ends it.

    A server that hangs costs one deadline then, instead of one for each few prompts.
    """
    places = asyncio.Semaphore(at_once)
    failed: list[ModelError] = []

    async def ask(prompt: Prompt) -> Generation | Poison | None:
        async with places:
            if failed:
                return None
            answer = await _ask(client, prompt, timeout_s)
            if isinstance(answer, Generation | Poison):
                return answer
            failed.append(answer)
            return None

    answers = await asyncio.gather(*map(ask, prompts))
    return failed[0] if failed else [answer for answer in answers if answer is not None]


async def _ask(client: ModelClient, prompt: Prompt, timeout_s: float) -> Generation | ModelError:
    """Ask one prompt, again where the server failed by the way."""
    for _ in range(_TRIES - 1):
        answer = await client.generate(prompt.text, prompt.params, timeout_s=timeout_s)
        if not isinstance(answer, Overloaded | GenerationFailed):
            return answer
        await asyncio.sleep(_PAUSE_S)
    return await client.generate(prompt.text, prompt.params, timeout_s=timeout_s)


def _harmless(tasks: tuple[Task, ...]) -> tuple[Canary, ...]:
    """Give one question for each custom task: what is right is the user's; answered it must be."""
    return tuple(
        Canary(task=task.name, emotion=emotion, text="The meeting was moved to Wednesday at noon.")
        for task in tasks
        if task.name not in TASKS
        for emotion in task.emotions[:1] or (None,)
    )
