"""A model that answers at once with what a test chose; and records to ask it about."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Protocol

import msgspec
import pytest

from consumer.analysis.analyzer import Analyzer
from consumer.analysis.asked_model import AskedModel
from consumer.analysis.cache import AnswerCache
from consumer.analysis.case import Answer
from consumer.analysis.decoder import Decoder
from consumer.analysis.event import EventBuilder
from consumer.analysis.event_ids import EventIds
from consumer.analysis.identifiers import Identifiers
from consumer.analysis.inference import AnalysisObserver
from consumer.analysis.plan import make_plan
from consumer.analysis.second_opinion import OpinionObserver, SecondOpinion
from consumer.records import Emit, Outcome, Record
from consumer.settings import Second, Tasks
from emollm.errors import ModelError
from emollm.prompts import PromptBuilder
from emollm.protocol import OnAnswer, OnError, PoolAnswer, Prompt, ServerInfo
from emollm.tasks import Task
from runtime.clock import Clock
from schemas import AffectEvent
from tests.consumer.records import make_record

Say = Callable[[Prompt], str | ModelError]

CANONICAL = {
    "V-reg": "0.879",
    "V-oc": "3: very positive emotional state can be inferred",
    "E-c": "joy, optimism.",
    "EI-reg": "0.6",
}


def canonical(prompt: Prompt) -> str:
    """What a model would say that finds every text joyful."""
    if prompt.task == "EI-oc":
        emotion = prompt.text.rsplit("Emotion E: ", 1)[1].split(".")[0]
        return f"2: moderate amount of {emotion} can be inferred"
    return CANONICAL[prompt.task]


class FakeCall:
    """A call that asks what has an `ask`: the prompts of one send are answered together."""

    def __init__(self, asker: "Asker", on_answer: OnAnswer, on_error: OnError, turn: int) -> None:
        self._asker = asker
        self._on_answer = on_answer
        self._on_error = on_error
        self._turn = turn
        self._sent = 0
        self._asking: set[asyncio.Task[None]] = set()

    def send(self, prompts: Sequence[Prompt]) -> None:
        task = asyncio.get_running_loop().create_task(self._ask(prompts, self._sent))
        self._sent += len(prompts)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, prompts: Sequence[Prompt], first: int) -> None:
        try:
            answers = await self._asker.ask(prompts, turn=self._turn)
            for index, answer in enumerate(answers, first):
                self._on_answer(index, answer)
        except Exception as error:  # noqa: BLE001 - as the pool: whatever it is, it is told
            self._on_error(error)

    def close(self) -> None:
        for task in self._asking:
            task.cancel()


class Asker(Protocol):
    """What answers prompts: the part of a fake pool that tests replace."""

    async def ask(
        self, prompts: Sequence[Prompt], *, turn: int = 0
    ) -> list[PoolAnswer | ModelError]: ...


class FakePool:
    """Answers every prompt by `say`, after `gate` is set."""

    def __init__(
        self, say: Say = canonical, *, model: str = "emostream-small", url: str = "http://gpu"
    ) -> None:
        self.say = say
        self.url = url
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[Prompt] = []
        self.turns: list[int] = []
        """Of each call."""
        self.calls = 0
        self.waiting = 0
        self.available = True
        self.suspected = 0
        self.on_suspect: Callable[[], None] = lambda: None
        self.passed = asyncio.Event()
        """Whether the canary has been passed again."""
        self.passed.set()
        self.info = ServerInfo(dialect="tgi", model_id=model, model_revision="r1")

    @property
    def by_task(self) -> Counter[str]:
        return Counter(prompt.task for prompt in self.asked)

    def open_call(self, on_answer: OnAnswer, on_error: OnError, *, turn: int = 0) -> FakeCall:
        return FakeCall(self, on_answer, on_error, turn)

    async def ask(
        self, prompts: Sequence[Prompt], *, turn: int = 0
    ) -> list[PoolAnswer | ModelError]:
        self.calls += 1
        self.turns.append(turn)
        self.asked += prompts
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        answers: list[PoolAnswer | ModelError] = []
        for prompt in prompts:
            answer = self.say(prompt)
            if isinstance(answer, str):
                answers.append(PoolAnswer(text=answer, server=self.url, attempts=1))
            else:
                answers.append(answer)
        return answers

    async def wait_available(self) -> None:
        await self.passed.wait()

    def suspect_model(self) -> None:
        self.suspected += 1
        self.on_suspect()


def make_analyzer(
    pool: FakePool,
    *,
    tasks: Tasks | None = None,
    custom: Sequence[Task] = (),
    cache_entries: int = 1_000,
    author_key: str = "",
    include_text: bool = True,
    observer: AnalysisObserver | None = None,
    second: FakePool | None = None,
    options: Second | None = None,
    opinions: OpinionObserver | None = None,
    clock: Clock | None = None,
) -> "Listing":
    plan = make_plan(tasks or Tasks(), custom)
    builder = PromptBuilder(plan.tasks)
    cache = AnswerCache[Answer](max_entries=cache_entries)
    analyzer = Analyzer(
        model=AskedModel(pool, lambda _: builder, cache, observer=observer),
        second=None
        if second is None
        else SecondOpinion(
            AskedModel(second, lambda _: builder, cache, role="second"),
            options or Second(),
            observer=opinions,
            clock=clock,
        ),
        plan=plan,
        decoder=Decoder(),
        events=EventBuilder(
            ids=EventIds(plan.signature),
            identifiers=Identifiers(author_key),
            include_text=include_text,
        ),
        observer=observer,
    )
    return Listing(analyzer)


class Listing:
    """An analyzer whose outcomes a test wants as a list, in the records' order."""

    def __init__(self, analyzer: Analyzer) -> None:
        self.analyzer = analyzer
        self._turns = count(1)

    async def process(self, records: Sequence[Record]) -> list[Outcome]:
        found: dict[int, Outcome] = {}

        def done(record: Record, outcome: Outcome) -> None:
            assert id(record) not in found, "a second outcome"
            found[id(record)] = outcome

        await self.analyzer.process(records, done, turn=next(self._turns))
        return [found[id(record)] for record in records]


def record(text: str, offset: int = 0, **other: Any) -> Record:
    fields: dict[str, Any] = {"id": f"p{offset}", "text": text} | other.pop("post", {})
    value: bytes | None = other.pop("value", json.dumps(fields).encode())
    return make_record(value, offset, **other)


def event_of(outcome: object) -> AffectEvent:
    assert isinstance(outcome, Emit), outcome
    return msgspec.json.decode(outcome.value, type=AffectEvent)


async def reach(condition: Callable[[], bool]) -> None:
    """Let other tasks run until it holds."""
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("never came about")
