"""One post and two models: who is asked what, when the post is settled, what its answers come to.

Scores are both models' weighted mean. What the second is to answer alone (E-c) the first is asked
only where the second can't. The gate's answer, whoever gave it, decides which emotions both are
asked for. What the second alone is given, it answers alone.
"""

from collections.abc import Callable, Iterator

from consumer.analysis.batch import Batch
from consumer.analysis.case import Answer, Case, SecondPart, is_value
from consumer.analysis.event import Opinion
from consumer.analysis.plan import Plan, Question
from consumer.analysis.second_opinion import Route, SecondOpinion
from emollm.errors import FailedAlone
from emollm.readers import Unreadable
from emollm.tasks import TASKS, V_REG

_NOT_ASKED = Unreadable("the second model, which answered alone, isn't asked it")
_UNREADABLE_IN_A_ROW = 5
"""Posts without one readable answer of the second, after which it is doubted, as the first is."""
_DECIMALS = 3
"""The models answer in thousandths."""


class TwoModels:
    """The questions about posts that two models share. `finish` is called with each post's last."""

    def __init__(
        self, plan: Plan, second: SecondOpinion, finish: Callable[[Batch, Case], None]
    ) -> None:
        self._plan = plan
        self._second = second
        self._finish = finish
        start = plan.always if plan.gate is None else (plan.gate, *plan.always)
        self._of_first = tuple(q for q in start if self._asks_first(q))
        self._of_second = tuple(q for q in start if self._asks_second(q))
        self._of_second_alone = tuple(q for q in start if self._knows(q))
        self._of_nobody = tuple(q for q in start if not self._knows(q))
        """What the second isn't asked even where it answers alone: custom tasks."""
        self._unreadable_in_a_row = 0

    def _asks_first(self, question: Question) -> bool:
        return question.task.name not in self._second.alone_tasks

    def _asks_second(self, question: Question) -> bool:
        name = question.task.name
        return name in self._second.alone_tasks or name in self._second.both_tasks

    def _knows(self, question: Question) -> bool:
        name = question.task.name
        return name in TASKS or name in self._second.alone_tasks

    # ---- asking

    def begin(self, batch: Batch, case: Case, route: Route) -> None:
        """Ask both models, or the second alone, what is asked of every post."""
        text, digest = self._second.model.prepare(case.decoded.post.text)
        alone = route is Route.SECOND
        part = case.second = SecondPart(case, text, digest, alone=alone)
        of_first = () if alone else self._of_first
        of_second = self._of_second_alone if alone else self._of_second
        case.open, part.open = len(of_first), len(of_second)
        if alone:
            part.found.update((question.rank, _NOT_ASKED) for question in self._of_nobody)
        elif of_second:
            self._second.asked_both()
        asking = batch.second
        assert asking is not None
        for question in of_first:
            batch.asking.want(case, question)
        for question in of_second:
            asking.want(part, question)
        if part.open and not case.open and not alone:  # the first has nothing to do before it
            self._second.wait_for(part, batch)

    def on_first(self, batch: Batch, case: Case, question: Question, answer: Answer) -> None:
        """Take an answer of the first model."""
        part = case.second
        assert part is not None
        case.found[question.rank] = answer
        if question is self._plan.gate:
            self._follow(batch, case, part, answer, asked=case)
        case.open -= 1
        self._step(batch, case, part)

    def on_second(self, batch: Batch, part: SecondPart, question: Question, answer: Answer) -> None:
        """Take an answer of the second model."""
        if part.given_up:
            return
        case = part.post
        part.found[question.rank] = answer
        readable = is_value(answer)
        if not readable:
            self._second.observer.second_missing("unreadable")
        if readable or part.alone:
            if question is self._plan.gate:
                self._follow(batch, case, part, answer, asked=part)
        elif not self._asks_first(question):
            self._ask_first(batch, case, question)
        part.open -= 1
        if not part.open:
            self._second.answered(part)
        self._step(batch, case, part)

    def _follow(
        self, batch: Batch, case: Case, part: SecondPart, answer: Answer, *, asked: Case
    ) -> None:
        """Ask what depends on the gate, of whom it is due."""
        case.after = self._plan.after(answer)
        if isinstance(answer, FailedAlone):  # this post breaks servers: ask no more
            asked.found.update((other.rank, answer) for other in case.after)
            return
        gone = part.given_up or batch.second is None
        for question in case.after:
            if not part.alone and (gone or self._asks_first(question)):
                self._ask_first(batch, case, question)
        for question in case.after:
            if not gone and (part.alone or self._asks_second(question)):
                self._ask_second(batch, part, question)

    def _ask_first(self, batch: Batch, case: Case, question: Question) -> None:
        case.open += 1
        batch.asking.want(case, question)

    def _ask_second(self, batch: Batch, part: SecondPart, question: Question) -> None:
        assert batch.second is not None
        if not part.open:
            self._second.asked_more(part)
        part.open += 1
        batch.second.want(part, question)

    def _step(self, batch: Batch, case: Case, part: SecondPart) -> None:
        """Settle the post with its last answer."""
        if case.settled:
            return
        if case.open or part.open:
            if part.open and not case.open and not part.alone:
                self._second.wait_for(part, batch)
            else:
                self._second.waits_no_more(part)
            return
        self._second.waits_no_more(part)
        self._doubt(part)
        if part.alone and not any(map(is_value, part.found.values())):
            case.first_alone = True  # no dead letter for what the second can't read
            batch.put_aside()
            return
        self._finish(batch, case)

    def _doubt(self, part: SecondPart) -> None:
        """Have the second pass the canary again where it says nothing readable of post after post.

        It may be another model than it says, and each post would be asked about in vain, twice.
        """
        answers = part.found.values()
        if any(map(is_value, answers)):
            self._unreadable_in_a_row = 0
        elif any(isinstance(one, Unreadable) and one is not _NOT_ASKED for one in answers):
            self._unreadable_in_a_row += 1
        if self._unreadable_in_a_row == _UNREADABLE_IN_A_ROW:
            self._unreadable_in_a_row = 0
            self._second.model.pool.suspect_model()

    # ---- where the second can't answer

    def give_up(self, batch: Batch, part: SecondPart) -> None:
        """Go on without the second: ask the first what the second was asked alone."""
        case = part.post
        self._second.give_up(part)
        for question in (*self._of_second, *case.after):
            if not self._asks_first(question) and question.rank not in part.found:
                self._ask_first(batch, case, question)
        self._step(batch, case, part)

    def lose(self, batch: Batch) -> None:
        """The second can't be asked any more: go on without it, with all posts of a batch."""
        batch.second = None
        for case in batch.cases:
            part = case.second
            if part is None or case.settled or not part.open or part.given_up:
                continue
            self._second.observer.second_missing("unavailable")
            if part.alone:
                part.given_up = True
                batch.put_aside()
            else:
                self.give_up(batch, part)

    # ---- what it comes to

    def answers(self, case: Case, part: SecondPart) -> Iterator[tuple[Question, Answer]]:
        """Give the post's answers in the plan's order, scores as the weighted mean."""
        weight, both = self._second.weight, self._second.both_tasks
        for question in self._questions(case):
            ours, theirs = case.found.get(question.rank), part.found.get(question.rank)
            if not is_value(theirs):
                yield question, ours if ours is not None else theirs or _NOT_ASKED
            elif not is_value(ours):
                assert theirs is not None
                yield question, theirs
            elif question.task.name in both:
                assert isinstance(ours, int | float)
                assert isinstance(theirs, int | float)
                yield question, round((1 - weight) * ours + weight * theirs, _DECIMALS)
                if question.task is V_REG and case.prompts and part.prompts:
                    self._second.compare(ours, theirs)
            else:
                assert ours is not None
                yield question, ours

    def opinion(self, case: Case, part: SecondPart | None) -> Opinion:
        """Whose values they are."""
        if part is None:
            return "first"
        ours = any(map(is_value, case.found.values()))
        theirs = any(
            is_value(part.found.get(question.rank))
            and (
                question.task.name in self._second.both_tasks
                or not is_value(case.found.get(question.rank))
            )
            for question in self._questions(case)
        )
        return "both" if ours and theirs else "second" if theirs else "first"

    def _questions(self, case: Case) -> Iterator[Question]:
        if self._plan.gate is not None:
            yield self._plan.gate
        yield from self._plan.always
        yield from case.after
