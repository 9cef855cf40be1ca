"""The analysis of a batch: decode, plan, infer and read, put together."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Protocol

import msgspec

from consumer.analysis.decoder import Decoded, Decoder
from consumer.analysis.event import EventBuilder, ModelName
from consumer.analysis.inference import (
    DIGEST_BYTES,
    AnalysisObserver,
    Answer,
    Answers,
    Asked,
    Inference,
    NullAnalysisObserver,
    Wanted,
)
from consumer.analysis.plan import Plan, Question
from consumer.analysis.reading import read
from consumer.dead_letters import Reason
from consumer.processor import Done
from consumer.records import Outcome, Record
from emollm.errors import FailedAlone
from emollm.prompts import PreparedText, PromptBuilder
from emollm.protocol import ModelPool, ServerInfo
from schemas import DeadLetter

_UNANSWERED_IN_A_ROW = 5
"""Posts without one readable answer, after which the model is doubted instead of the posts. One
such post in a hundred is usual for small models; five in a row are not."""


class AvailablePool(ModelPool, Protocol):
    """A pool that tells when it can be asked again."""

    async def wait_available(self) -> None:
        """Return as soon as `available` is True."""

    def suspect_model(self) -> None:
        """Have every server pass the canary again; `available` is False until one has."""


class _Case(msgspec.Struct, eq=False):
    """One post on its way through."""

    record: Record
    decoded: Decoded
    text: PreparedText
    digest: bytes


class Analyzer:
    """Gives each record its outcome: an event, or a dead letter with the reason.

    In two rounds, so that each answer costs as few prompts as it can: the gate (E-c) first, beside
    it everything that depends on nothing; then the intensities of what the gate found.
    """

    def __init__(
        self,
        *,
        pool: AvailablePool,
        plan: Plan,
        decoder: Decoder,
        builder: PromptBuilder,
        inference: Inference,
        events: EventBuilder,
        model_name: str = "",
        model_revision: str = "",
        observer: AnalysisObserver | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`model_name` and `model_revision`, where given, count instead of what the servers say."""
        self._pool = pool
        self._plan = plan
        self._decoder = decoder
        self._builder = builder
        self._inference = inference
        self._events = events
        self._name, self._revision = model_name, model_revision
        self._observer = observer or NullAnalysisObserver()
        self._now = now
        self._turns = count(1)
        """Batches are served in the order they came, with both their rounds."""
        self._info: ServerInfo | None = None
        self._model = ModelName(id="unknown", revision=None)
        self._person = b""
        self._unanswered_in_a_row = 0

    @property
    def available(self) -> bool:
        """Whether a model server takes prompts now."""
        return self._pool.available

    async def wait_available(self) -> None:
        """Return as soon as `available` is True."""
        await self._pool.wait_available()

    @property
    def model(self) -> str | None:
        """The model's id, for dead letters."""
        return self._name or self._pool.info.model_id

    async def process(self, records: Sequence[Record], done: Done) -> None:
        """Give each record its one outcome. See `consumer.processor.RecordProcessor`.

        Raises:
            emollm.errors.Stop: no record can be analysed until a human acts.
        """
        self._look_at_model()
        cases: list[_Case] = []
        unreadable_times = 0
        bugs: list[Exception] = []
        for record in records:
            try:
                found = self._decoder.decode(record)
                if isinstance(found, Decoded):
                    cases.append(self._case(record, found))
                    unreadable_times += found.unreadable_time
                else:
                    done(record, found)
            except Exception as error:  # noqa: BLE001 - a bug must not fail the batch's others
                bugs.append(error)
        if unreadable_times:
            self._observer.unreadable_times(unreadable_times)
        unanswered = await self._analyse(cases, done, bugs) if cases else []
        if unanswered:
            await self._doubt_model()
            again = [self._case(case.record, case.decoded) for case in unanswered]
            await self._analyse(again, done, bugs, last=True)
        if bugs:
            raise bugs[0]

    def _case(self, record: Record, decoded: Decoded) -> _Case:
        text = self._builder.prepare(decoded.post.text)
        return _Case(record, decoded, text, self._digest(text.text))

    async def _doubt_model(self) -> None:
        """Wait until a server has passed the canary again.

        Raises:
            emollm.errors.Stop: none will: it is another model, say.
        """
        self._unanswered_in_a_row = 0
        self._pool.suspect_model()
        await self._pool.wait_available()
        self._look_at_model()

    async def _infer(self, cases: list[_Case], answers: Answers) -> None:
        plan = self._plan
        ask = partial(self._inference.ask, answers=answers, turn=next(self._turns))
        always = _wanted(cases, plan.always)
        if plan.gate is None:
            await ask(always)
            return
        gate = _wanted(cases, (plan.gate,))
        beside = asyncio.ensure_future(ask(always)) if always else None
        try:
            await ask(gate)
            depending: dict[bytes, tuple[Question, PreparedText]] = {}
            for case in cases:
                found = answers.found[case.digest + plan.gate.suffix]
                for question in plan.after(found):
                    key = case.digest + question.suffix
                    if isinstance(found, FailedAlone):  # this post breaks servers: ask no more
                        answers.found[key] = found
                    else:
                        depending[key] = question, case.text
            if depending:
                await ask(depending)
            if beside is not None:
                await beside
        except BaseException:
            if beside is not None:
                beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)
            raise

    async def _analyse(
        self, cases: list[_Case], done: Done, bugs: list[Exception], *, last: bool = False
    ) -> list[_Case]:
        """Ask the model about these posts, and finish them.

        Gives those that are left open since the model is to be doubted: as many posts in a row
        have no readable answer. With `last` none is.
        """
        answers = Answers()
        await self._infer(cases, answers)
        now = self._now()
        total = 0
        unanswered: list[tuple[_Case, Outcome]] = []
        for case in cases:
            try:
                findings, prompts, server = self._of(case, answers)
                total += prompts
                outcome = self._events.build(
                    case.record,
                    case.decoded,
                    read(self._plan, findings),
                    model=self._model,
                    server=server,
                    prompts=prompts,
                    truncated=case.text.truncated,
                    now=now,
                )
            except Exception as error:  # noqa: BLE001 - as above
                bugs.append(error)
                continue
            if _is_unanswered(outcome):
                self._unanswered_in_a_row += 1
                unanswered.append((case, outcome))
            else:
                self._unanswered_in_a_row = 0
                done(case.record, outcome)
        self._observer.analysed(len(cases), total)
        if not last and self._unanswered_in_a_row >= _UNANSWERED_IN_A_ROW:
            return [case for case, _ in unanswered]
        for case, outcome in unanswered:
            done(case.record, outcome)
        return []

    def _of(
        self, case: _Case, answers: Answers
    ) -> tuple[list[tuple[Question, Answer]], int, str | None]:
        """Give this post's answers, and what they cost. Among equal texts the first one pays."""
        plan = self._plan
        found: list[tuple[Question, Answer]] = []
        questions = plan.always
        if plan.gate is not None:
            labels = answers.found[case.digest + plan.gate.suffix]
            questions = (plan.gate, *questions, *plan.after(labels))
        prompts = 0
        server: str | None = None
        for question in questions:
            key = case.digest + question.suffix
            found.append((question, answers.found[key]))
            paid: Asked | None = answers.asked.pop(key, None)
            if paid is not None:
                prompts += paid.prompts
                server = paid.server or server
        return found, prompts, server

    def _look_at_model(self) -> None:
        """Note what the servers say of the model: answers of another one are other answers."""
        info = self._pool.info
        if info is self._info:
            return
        self._info = info
        self._model = ModelName(
            id=self._name or info.model_id, revision=self._revision or info.model_revision
        )
        name = f"{self._model.id}\0{self._model.revision or ''}".encode()
        self._person = hashlib.blake2b(name, digest_size=16).digest()

    def _digest(self, text: str) -> bytes:
        """The key of a text under this model."""
        return hashlib.blake2b(
            text.encode(), digest_size=DIGEST_BYTES, person=self._person, usedforsecurity=False
        ).digest()


def _is_unanswered(outcome: Outcome) -> bool:
    return isinstance(outcome, DeadLetter) and outcome.class_name == Reason.UNANSWERED


def _wanted(cases: list[_Case], questions: Sequence[Question]) -> Wanted:
    return {
        case.digest + question.suffix: (question, case.text)
        for question in questions
        for case in cases
    }
