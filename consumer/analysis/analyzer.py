"""The analysis of a batch: decode, plan, infer and read, put together."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

import msgspec

from consumer.analysis.asked_model import AskedModel, first_of
from consumer.analysis.batch import Batch
from consumer.analysis.case import Answer, Case, SecondPart, is_value
from consumer.analysis.decoder import Decoded, Decoder
from consumer.analysis.event import EventBuilder, TwoReadings
from consumer.analysis.inference import AnalysisObserver, NullAnalysisObserver
from consumer.analysis.plan import Plan, Question
from consumer.analysis.reading import read
from consumer.analysis.second_opinion import Route, SecondOpinion
from consumer.analysis.two_models import TwoModels
from consumer.dead_letters import Reason
from consumer.processor import Done
from consumer.records import Emit, Outcome, Record, Skip
from consumer.tracing import current_batch
from emollm.errors import FailedAlone, ModelError, PoolBroken, PoolClosed
from emollm.prompts import PreparedText
from emollm.readers import Unreadable
from schemas import DeadLetter, ModelUse

_UNANSWERED_IN_A_ROW = 5
"""Posts without one readable answer, after which the model is doubted instead of the posts. One
such post in a hundred is usual for small models; five in a row are not."""


_UNPREPARED = PreparedText("")


class Analyzer:
    """Gives each record its outcome: an event, or a dead letter with the reason.

    Each answer costs as few prompts as it can: the gate (E-c) is asked first, beside it everything
    that depends on nothing; then the intensities of what the gate found. Each post goes its own
    way: it is finished as soon as its own questions are answered, whatever its batch waits for.
    """

    def __init__(
        self,
        *,
        model: AskedModel,
        plan: Plan,
        decoder: Decoder,
        events: EventBuilder,
        second: SecondOpinion | None = None,
        observer: AnalysisObserver | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """With a `second` opinion, `watch` is to run beside."""
        self._first = model
        self._plan = plan
        self._at_first = plan.always if plan.gate is None else (plan.gate, *plan.always)
        """Asked of every post, whatever is answered."""
        self._decoder = decoder
        self._events = events
        self._second = second
        self._two = None if second is None else TwoModels(plan, second, self._finish)
        self._observer = observer or NullAnalysisObserver()
        self._now = now
        self._unanswered_in_a_row = 0

    @property
    def available(self) -> bool:
        """Whether a model server takes prompts now."""
        if self._first.pool.available:
            return True
        second = self._second
        return second is not None and second.stands_in and second.available

    async def wait_available(self) -> None:
        """Return as soon as `available` is True."""
        if self._second is None or not self._second.stands_in:
            await self._first.pool.wait_available()
            return
        await first_of(self._first.pool.wait_available(), self._second.model.pool.wait_available())

    @property
    def model(self) -> str | None:
        """The model's id, for dead letters."""
        self._first.look()
        return self._first.model.id

    def second_problems(self) -> list[str]:
        """What is wrong with the second model although its servers are there."""
        return [] if self._second is None else self._second.problems()

    async def watch(self) -> None:
        """Look after the second opinion, until cancelled; at once over where there is none."""
        if self._second is not None:
            await self._second.run(self._look)

    async def process(self, records: Sequence[Record], done: Done, *, turn: int = 0) -> None:
        """Give each record its one outcome. See `consumer.processor.RecordProcessor`.

        Raises:
            emollm.errors.Stop: no record can be analysed until a human acts.
        """
        self._first.look()
        trace = current_batch.get()
        cases: list[Case] = []
        unreadable_times = 0
        bugs: list[Exception] = []
        for record in records:
            try:
                found = self._decoder.decode(record)
                if isinstance(found, Decoded):
                    cases.append(case := self._case(record, found))
                    if trace is not None:
                        case.trace = trace.of(record)
                    unreadable_times += found.unreadable_time
                else:
                    done(record, self._named(found))
            except Exception as error:  # noqa: BLE001 - a bug must not fail the batch's others
                bugs.append(error)
        if unreadable_times:
            self._observer.unreadable_times(unreadable_times)
        batch = Batch(done, bugs)
        try:
            while cases:
                again = await self._analyse(batch, cases, turn)
                if again:
                    await self._wait_for_model(again)
                cases = [self._again(case) for case in again]
        finally:
            if batch.posts or batch.prompts:
                self._observer.analysed(batch.posts, batch.prompts)
        if bugs:
            raise bugs[0]

    def _named(self, found: DeadLetter | Skip) -> DeadLetter | Skip:
        """Have a dead letter of decoding name the model, as those of the other stages do."""
        if isinstance(found, DeadLetter):
            return msgspec.structs.replace(found, model=self._first.model.id)
        return found

    def _case(self, record: Record, decoded: Decoded) -> Case:
        if not self._first.known:  # the second stands in
            return Case(record, decoded, _UNPREPARED, b"")
        text, digest = self._first.prepare(decoded.post.text)
        return Case(record, decoded, text, digest)

    def _again(self, case: Case) -> Case:
        again = self._case(case.record, case.decoded)
        again.first_alone = case.first_alone
        again.trace = case.trace
        again.prompts, again.server = case.prompts, case.server
        again.second_before = case.second or case.second_before
        return again

    async def _wait_for_model(self, again: Sequence[Case]) -> None:
        """Wait until these posts can be asked about again.

        Raises:
            emollm.errors.Stop: they can't be: no server passes the canary, say.
        """
        if self._second is None or all(case.first_alone for case in again):
            await self._first.pool.wait_available()
        else:
            await self.wait_available()
        self._first.look()

    # ---- one batch

    async def _analyse(self, batch: Batch, cases: Sequence[Case], turn: int) -> list[Case]:
        """Ask the model about these posts, and finish each as soon as it is answered.

        Gives those that are to be asked again, since the model is doubted and not they.
        """
        batch.open = len(cases)
        batch.cases = cases
        with self._first.begin(partial(self._on_found, batch), turn=turn) as asking:
            batch.asking = asking
            if self._second is None:
                for case in cases:
                    self._begin(batch, case)
                await asking.wait()
            else:
                await self._ask_two(batch, cases, turn)
        del batch.asking  # it refers to the batch: a cycle is the garbage collector's work
        again = [] if self._second is None else [case for case in cases if not case.settled]
        return again + self._finish_unanswered(batch, cases)

    def _finish_unanswered(self, batch: Batch, cases: Sequence[Case]) -> list[Case]:
        """Decide about the posts that have no readable answer: dead letters, or asked again.

        As many in a row are the model's fault: it has to pass the canary, and they are asked
        again once. While no server takes prompts, none becomes a dead letter.
        """
        in_a_row = self._unanswered_in_a_row
        held: list[tuple[Case, Outcome]] = []
        for case in cases:
            if not case.settled or (case.second is not None and case.second.alone):
                continue  # nothing is known of the model
            if case.unanswered is None:
                in_a_row = 0
            else:
                in_a_row += not batch.asked_again
                held.append((case, case.unanswered))
        doubted = in_a_row >= _UNANSWERED_IN_A_ROW
        self._unanswered_in_a_row = 0 if doubted else in_a_row
        if doubted:
            self._first.pool.suspect_model()
        if held and (doubted or not self._first.pool.available):
            batch.asked_again = True
            return [case for case, _ in held]
        for case, dead_letter in held:
            batch.finish(case, dead_letter)
        return []

    def _begin(self, batch: Batch, case: Case) -> None:
        case.open = len(self._at_first)
        for question in self._at_first:
            batch.asking.want(case, question)

    def _on_found(self, batch: Batch, case: Case, question: Question, answer: Answer) -> None:
        """Note an answer, ask what depends on it, and finish the post with its last one."""
        if self._two is not None and case.second is not None:
            self._two.on_first(batch, case, question, answer)
            return
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

    def _finish(self, batch: Batch, case: Case) -> None:
        case.settled = True
        try:
            outcome = self._outcome(case) if self._two is None else self._outcome_of_two(case)
        except Exception as error:  # noqa: BLE001 - as in `process`
            batch.bugs.append(error)
        else:
            if case.unanswered is None and _is_unanswered(outcome):
                case.unanswered = outcome
            if case.unanswered is None:
                batch.finish(case, outcome)
        batch.open -= 1
        if batch.open == 0:
            batch.asking.finish()

    def _outcome(self, case: Case) -> Outcome:
        return self._events.build(
            case.record,
            case.decoded,
            read(self._plan, self._answers(case)),
            model=self._first.model,
            server=case.server,
            prompts=case.prompts,
            truncated=case.text.truncated,
            now=self._now(),
        )

    def _answers(self, case: Case) -> Iterator[tuple[Question, Answer]]:
        """Give this post's answers in the plan's order."""
        for question in (*self._at_first, *case.after):
            yield question, case.found[question.rank]

    # ---- with a second opinion

    async def _ask_two(self, batch: Batch, cases: Sequence[Case], turn: int) -> None:
        """Ask both models about these posts, each post as the second opinion routes it."""
        second, two = self._second, self._two
        assert second is not None
        assert two is not None
        second.begin(batch)
        try:
            with ExitStack() as stack:
                if second.available:
                    on_found = partial(self._on_second, batch)
                    asking = stack.enter_context(second.model.begin(on_found, turn=turn))
                    asking.on_failure(partial(self._second_failed, batch))
                    batch.second = asking
                for case in cases:
                    route = second.route(case, self._first.pool)
                    if route is Route.WAIT:
                        batch.put_aside()
                    elif route is Route.FIRST or batch.second is None:
                        self._begin(batch, case)
                    else:
                        two.begin(batch, case, route)
                await batch.asking.wait()
        finally:
            batch.second = None
            second.end(batch)

    def _on_second(self, batch: Batch, part: Case, question: Question, answer: Answer) -> None:
        assert self._two is not None
        assert isinstance(part, SecondPart)
        self._two.on_second(batch, part, question, answer)

    def _second_failed(self, batch: Batch, error: BaseException) -> None:
        """Go on without the second where its servers can't be asked; anything else is a bug."""
        assert self._two is not None
        if isinstance(error, ModelError | PoolBroken | PoolClosed):
            self._two.lose(batch)
        else:
            batch.asking.fail(error)

    def _look(self) -> None:
        """See to posts that wait for a model in vain."""
        second, two = self._second, self._two
        assert second is not None
        assert two is not None
        if not second.available:
            for batch in second.batches():
                if batch.second is not None:
                    two.lose(batch)
        for part, batch in second.late():
            two.give_up(batch, part)
        if second.outage(self._first.pool):
            for batch in second.batches():
                if any(map(_waits_for_first, batch.cases)):
                    batch.asking.finish()  # and asked again: of the second

    def _outcome_of_two(self, case: Case) -> Outcome:
        second, two, part = self._second, self._two, case.second
        assert second is not None
        assert two is not None
        if part is None or not part.alone:
            second.settled()
        opinion = two.opinion(case, part)
        reader: Case = part if opinion == "second" and part is not None else case
        asked = part or case.second_before
        second_prompts = 0 if asked is None else asked.prompts
        answers = self._answers(case) if part is None else two.answers(case, part)
        outcome = self._events.build(
            case.record,
            case.decoded,
            read(self._plan, answers),
            model=(second.model if reader is part else self._first).model,
            server=reader.server,
            prompts=case.prompts + second_prompts,
            truncated=reader.text.truncated,
            now=self._now(),
            two=TwoReadings(
                opinion=opinion,
                models=self._uses(case, asked),
            ),
        )
        if isinstance(outcome, Emit):
            second.observer.opinion(opinion, case.prompts, second_prompts)
        ours = () if part is None or part.alone else case.found.values()
        if not any(map(is_value, ours)) and any(isinstance(one, Unreadable) for one in ours):
            # What the second says is no reason to trust a model that says nothing readable.
            case.unanswered = outcome
        return outcome

    def _uses(self, case: Case, part: SecondPart | None) -> dict[str, ModelUse]:
        second = self._second
        assert second is not None
        asked: list[tuple[str, AskedModel, Case | None]] = [
            ("first", self._first, case),
            ("second", second.model, part),
        ]
        return {
            role: ModelUse(
                id=model.model.id,
                revision=model.model.revision,
                server=None if of_model is None else of_model.server,
                prompts=0 if of_model is None else of_model.prompts,
            )
            for role, model, of_model in asked
            if model.named
        }


def _waits_for_first(case: Case) -> bool:
    """Whether a post waits for the first model, and the second could be asked instead."""
    if case.settled or case.first_alone:
        return False
    return case.second is None or not case.second.alone


def _is_unanswered(outcome: Outcome) -> bool:
    return isinstance(outcome, DeadLetter) and outcome.class_name == Reason.UNANSWERED
