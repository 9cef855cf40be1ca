"""The analysis of a batch: decode, plan, infer and read, put together."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Protocol

import msgspec

from consumer.analysis.case import Answer, Case
from consumer.analysis.decoder import Decoded, Decoder
from consumer.analysis.event import EventBuilder, ModelName
from consumer.analysis.inference import (
    DIGEST_BYTES,
    AnalysisObserver,
    Asking,
    Inference,
    NullAnalysisObserver,
)
from consumer.analysis.plan import Plan, Question
from consumer.analysis.reading import read
from consumer.dead_letters import Reason
from consumer.processor import Done
from consumer.records import Outcome, Record, Skip
from emollm.errors import FailedAlone
from emollm.prompts import PromptBuilder
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


class _Batch:
    """One batch under way."""

    __slots__ = ("asked_again", "asking", "bugs", "done", "open", "posts", "prompts")

    def __init__(self, done: Done, bugs: list[Exception]) -> None:
        self.done = done
        self.bugs = bugs
        self.asking: Asking
        self.open = 0
        """Posts whose questions aren't all answered."""
        self.asked_again = False
        """Its posts are those that had no readable answer before the canary was passed again."""
        self.posts = 0
        self.prompts = 0

    def finish(self, case: Case, outcome: Outcome) -> None:
        """Pass a post's outcome on."""
        self.posts += 1
        self.done(case.record, outcome)


class Analyzer:
    """Gives each record its outcome: an event, or a dead letter with the reason.

    Each answer costs as few prompts as it can: the gate (E-c) is asked first, beside it everything
    that depends on nothing; then the intensities of what the gate found. Each post goes its own
    way: it is finished as soon as its own questions are answered, whatever its batch waits for.
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
        self._first = plan.always if plan.gate is None else (plan.gate, *plan.always)
        """Asked of every post, whatever is answered."""
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
        cases: list[Case] = []
        unreadable_times = 0
        bugs: list[Exception] = []
        for record in records:
            try:
                found = self._decoder.decode(record)
                if isinstance(found, Decoded):
                    cases.append(self._case(record, found))
                    unreadable_times += found.unreadable_time
                else:
                    done(record, self._named(found))
            except Exception as error:  # noqa: BLE001 - a bug must not fail the batch's others
                bugs.append(error)
        if unreadable_times:
            self._observer.unreadable_times(unreadable_times)
        batch = _Batch(done, bugs)
        try:
            while cases:
                again = await self._analyse(batch, cases)
                if again:
                    await self._wait_for_model()
                    batch.asked_again = True
                cases = [self._case(case.record, case.decoded) for case in again]
        finally:
            if batch.posts or batch.prompts:
                self._observer.analysed(batch.posts, batch.prompts)
        if bugs:
            raise bugs[0]

    def _named(self, found: DeadLetter | Skip) -> DeadLetter | Skip:
        """Have a dead letter of decoding name the model, as those of the other stages do."""
        if isinstance(found, DeadLetter):
            return msgspec.structs.replace(found, model=self._model.id)
        return found

    def _case(self, record: Record, decoded: Decoded) -> Case:
        text = self._builder.prepare(decoded.post.text)
        return Case(record, decoded, text, self._digest(text.text))

    async def _wait_for_model(self) -> None:
        """Wait until a server has passed the canary again.

        Raises:
            emollm.errors.Stop: none will: it is another model, say.
        """
        await self._pool.wait_available()
        self._look_at_model()

    # ---- one batch

    async def _analyse(self, batch: _Batch, cases: Sequence[Case]) -> list[Case]:
        """Ask the model about these posts, and finish each as soon as it is answered.

        Gives those that are to be asked again, since the model is doubted and not they.
        """
        batch.open = len(cases)
        turn = next(self._turns)
        with self._inference.begin(partial(self._on_found, batch), turn=turn) as asking:
            batch.asking = asking
            for case in cases:
                self._begin(asking, case)
            await asking.wait()
        del batch.asking  # it refers to the batch: a cycle is the garbage collector's work
        return self._finish_unanswered(batch, cases)

    def _finish_unanswered(self, batch: _Batch, cases: Sequence[Case]) -> list[Case]:
        """Decide about the posts that have no readable answer: dead letters, or asked again.

        As many in a row are the model's fault: it has to pass the canary, and they are asked
        again once. While no server takes prompts, none becomes a dead letter.
        """
        in_a_row = self._unanswered_in_a_row
        held: list[tuple[Case, Outcome]] = []
        for case in cases:
            if case.unanswered is None:
                in_a_row = 0
            else:
                in_a_row += not batch.asked_again
                held.append((case, case.unanswered))
        doubted = in_a_row >= _UNANSWERED_IN_A_ROW
        self._unanswered_in_a_row = 0 if doubted else in_a_row
        if doubted:
            self._pool.suspect_model()
        if held and (doubted or not self._pool.available):
            return [case for case, _ in held]
        for case, dead_letter in held:
            batch.finish(case, dead_letter)
        return []

    def _begin(self, asking: Asking, case: Case) -> None:
        case.open = len(self._first)
        for question in self._first:
            asking.want(case, question)

    def _on_found(self, batch: _Batch, case: Case, question: Question, answer: Answer) -> None:
        """Note an answer, ask what depends on it, and finish the post with its last one."""
        case.found[question.rank] = answer
        if question is self._plan.gate:
            case.after = self._plan.after(answer)
            if isinstance(answer, FailedAlone):  # this post breaks servers: ask no more
                case.found.update((other.rank, answer) for other in case.after)
            else:
                case.open += len(case.after)
                for other in case.after:
                    batch.asking.want(case, other)
        case.open -= 1
        if case.open == 0:
            self._finish(batch, case)

    def _finish(self, batch: _Batch, case: Case) -> None:
        batch.prompts += case.prompts
        try:
            outcome = self._events.build(
                case.record,
                case.decoded,
                read(self._plan, self._answers(case)),
                model=self._model,
                server=case.server,
                prompts=case.prompts,
                truncated=case.text.truncated,
                now=self._now(),
            )
        except Exception as error:  # noqa: BLE001 - as in `process`
            batch.bugs.append(error)
        else:
            if _is_unanswered(outcome):
                case.unanswered = outcome
            else:
                batch.finish(case, outcome)
        batch.open -= 1
        if batch.open == 0:
            batch.asking.finish()

    def _answers(self, case: Case) -> Iterator[tuple[Question, Answer]]:
        """Give this post's answers in the plan's order."""
        for question in (*self._first, *case.after):
            yield question, case.found[question.rank]

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
