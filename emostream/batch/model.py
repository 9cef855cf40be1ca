"""The model that files are put to: on the configured servers, or served by this process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cached_property, partial

from consumer.analysis.canary import prover
from consumer.analysis.model import describe, make_builder, sends_by_length
from consumer.assembly import server_options
from consumer.settings import Settings
from emollm.instructions import KNOWN_TASKS
from emollm.pool import Pool, PoolOptions, open_pool
from emollm.prompts import PromptBuilder
from emollm.protocol import GenerateParams, Prompt
from emollm.tasks import Task
from emostream.batch.outage import tell_outages
from emostream.exits import require, wrong_usage
from runtime.clock import SystemClock

_WAIT_S = 15.0
"""For a first server: whoever asks by hand would rather be told that there is none."""
_FREE_TOKENS = 48
"""`max_new_tokens` of an instruction of one's own: what the longest usual answers take."""


class BatchModel:
    """A pool of servers of one model, and how that model wants to be asked."""

    def __init__(self, settings: Settings, pool: Pool, tasks: Sequence[Task]) -> None:
        self.pool = pool
        card = describe(settings.model, pool.info)
        self.name = settings.model.name or card.name
        """The model's name, as its answers are filed under."""
        self.concurrency = settings.model.max_concurrency * len(settings.model.servers)
        """Prompts in flight at most."""
        self._wrapper = card.wrapper.value
        self._make_builder = partial(make_builder, settings.model, pool.info, tuple(tasks))

    @cached_property
    def builder(self) -> PromptBuilder:
        """What builds prompts around texts; whole instructions need none.

        Raises:
            CommandError: the model's limits leave no room for a text.
        """
        with wrong_usage():
            return self._make_builder()

    def prompt(self, instruction: str, task: str | None = None) -> Prompt:
        """Wrap a whole instruction, which is asked as it is."""
        before, after = self._wrapper
        known = KNOWN_TASKS.get(task or "")
        return Prompt(
            text=f"{before}{instruction}{after}",
            params=GenerateParams(max_new_tokens=known.max_new_tokens if known else _FREE_TOKENS),
            task=task or "instruction",
        )


@asynccontextmanager
async def open_batch_model(
    settings: Settings, tasks: Sequence[Task], *, model_id: str | None = None, canary: bool = False
) -> AsyncIterator[BatchModel]:
    """Open the configured servers, or serve `model_id` (a folder, a hub name, `small`) in here.

    With `canary` each server must answer known texts as an EmoLLM would before it is asked.

    Raises:
        emollm.errors.ModelError: no server can be asked.
        emollm.models.UnknownModel: neither the table nor the configuration says how to ask it.
        infra.tgi.errors.StartError: `model_id` can't be served.
    """
    if model_id is None:
        async with _opened(settings, tasks, canary=canary) as model:
            yield model
        return
    require("tokenizers")
    from infra.tgi import ServerSettings, TgiServer

    # As many permits as prompts in flight, so that none is refused with 429 on the way.
    serving = ServerSettings(
        model_id=model_id,
        port=0,
        max_concurrent_requests=settings.model.max_concurrency,
    )
    async with TgiServer(serving) as server:
        chosen = settings.model.model_copy(update={"servers": (server.url,)})
        mine = settings.model_copy(update={"model": chosen})
        async with _opened(mine, tasks, canary=canary) as model:
            yield model


@asynccontextmanager
async def _opened(
    settings: Settings, tasks: Sequence[Task], *, canary: bool
) -> AsyncIterator[BatchModel]:
    model = settings.model
    pool = await open_pool(
        server_options(settings),
        PoolOptions(
            timeout_s=model.timeout_s,
            max_concurrency=model.max_concurrency,
            by_length=partial(sends_by_length, model),
        ),
        prove=prover(model, tuple(tasks)) if canary else None,
        wait_s=model.wait_s or _WAIT_S,
    )
    outages = asyncio.create_task(tell_outages(pool, SystemClock()))
    try:
        yield BatchModel(settings, pool, tasks)
    finally:
        outages.cancel()
        await asyncio.gather(outages, return_exceptions=True)
        await pool.aclose()
