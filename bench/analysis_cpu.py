"""CPU of the analysis alone: decode to event, with a pool that answers at once.

python -m bench.analysis_cpu [posts]
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence

from consumer.analysis.analyzer import Analyzer
from consumer.analysis.asked_model import AskedModel
from consumer.analysis.cache import AnswerCache
from consumer.analysis.case import Answer
from consumer.analysis.decoder import Decoder
from consumer.analysis.event import EventBuilder
from consumer.analysis.event_ids import EventIds
from consumer.analysis.identifiers import Identifiers
from consumer.analysis.plan import make_plan
from consumer.records import Record
from consumer.settings import Tasks
from consumer.telemetry.meter import Meter
from emollm.prompts import PromptBuilder
from emollm.protocol import OnAnswer, OnError, PoolAnswer, Prompt, ServerInfo

BATCH = 64
WORDS = ("the", "of", "and", "that", "he", "was", "for", "with", "they", "one", "have", "this")
ANSWERS = {"V-reg": "0.734", "E-c": "joy, optimism.", "EI-reg": "0.6"}


class _InstantCall:
    def __init__(self, pool: "_InstantPool", on_answer: OnAnswer) -> None:
        self._pool = pool
        self._on_answer = on_answer
        self._sent = 0

    def send(self, prompts: Sequence[Prompt]) -> None:
        self._pool.prompts += len(prompts)
        first, self._sent = self._sent, self._sent + len(prompts)
        for index, prompt in enumerate(prompts, first):
            answer = PoolAnswer(text=ANSWERS[prompt.task], server="http://gpu", attempts=1)
            self._on_answer(index, answer)

    def close(self) -> None:
        """Nothing is under way."""


class _InstantPool:
    available = True
    info = ServerInfo(dialect="tgi", model_id="Emollama-7b", model_revision="r1")
    prompts = 0

    def open_call(
        self,
        on_answer: OnAnswer,
        on_error: OnError,  # noqa: ARG002
        *,
        turn: int = 0,  # noqa: ARG002
    ) -> "_InstantCall":
        return _InstantCall(self, on_answer)

    def suspect_model(self) -> None:
        """Nothing: it is asked no more than once."""

    async def wait_available(self) -> None:
        return


def _record(offset: int, text: str) -> Record:
    post = {"id": str(offset), "text": text, "author": f"a{offset}", "source": "x", "lang": "en"}
    return Record(
        topic="posts",
        partition=0,
        offset=offset,
        epoch=1,
        timestamp_ms=1_700_000_000_000,
        received_at=1_700_000_000.0,
        key=None,
        value=json.dumps(post).encode(),
    )


async def _measure(name: str, texts: list[str]) -> None:
    pool, meter, plan = _InstantPool(), Meter(), make_plan(Tasks())
    builder = PromptBuilder(plan.tasks)
    cache = AnswerCache[Answer](max_entries=200_000)
    analyzer = Analyzer(
        model=AskedModel(pool, lambda _: builder, cache, observer=meter),
        plan=plan,
        decoder=Decoder(),
        events=EventBuilder(
            ids=EventIds(plan.signature), identifiers=Identifiers("k" * 32), include_text=True
        ),
        observer=meter,
    )
    records = [_record(offset, text) for offset, text in enumerate(texts)]
    started = time.process_time()
    for first in range(0, len(records), BATCH):
        await analyzer.process(records[first : first + BATCH], lambda _record, _outcome: None)
    spent = time.process_time() - started
    per_post = spent / len(records) * 1e6
    print(f"{name}: {per_post:.1f} us a post, {pool.prompts / len(records):.2f} prompts a post")


def main() -> None:
    """Measure texts that differ, and texts of which every second is a repost."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    draw = random.Random(1)
    texts = [" ".join(draw.choices(WORDS, k=18)) + "!" for _ in range(count)]
    asyncio.run(_measure("all texts differ", texts))
    asyncio.run(_measure("every second a repost", [texts[n // 2] for n in range(count)]))


if __name__ == "__main__":
    main()
