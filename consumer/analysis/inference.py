"""Answers to questions about texts, each asked once: the cache, what is in flight, the model.

Identical texts are a large part of social media. A question about a text that was answered is not
asked; one that is being asked, for this batch or another, is waited for. Each answer is given as
soon as it is there: no post waits for the other posts of its batch.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TypeAlias

import msgspec

from consumer.analysis.cache import AnswerCache
from consumer.analysis.case import Answer, Case
from consumer.analysis.plan import Question
from consumer.tracing import current_batch
from emollm.errors import ModelError, Poison
from emollm.prompts import PreparedText, PromptBuilder
from emollm.protocol import ModelPool, PoolAnswer, Prompt, PromptCall
from emollm.readers import Unreadable
from emollm.tasks import Task

OnFound: TypeAlias = Callable[[Case, Question, Answer], None]
"""Called once with the answer to each question that was wanted. What it raises ends its batch."""

BuildPrompt: TypeAlias = Callable[[Task, PreparedText, str | None, int], Prompt]
"""See `emollm.prompts.PromptBuilder.build`."""

DIGEST_BYTES = 16
"""Of a text: 128 bits, so that no two texts meet by chance."""


class AnalysisObserver(Protocol):
    """What the analysis tells those who count. Called inline: must be quick and not raise."""

    def answers(self, cached: int, shared: int, asked: int) -> None:
        """Of the questions of some posts, `cached` were known and `shared` were being asked."""

    def unreadable(self, task: str, recovered: int, given_up: int) -> None:
        """First answers that couldn't be read: `recovered` by another wording, or `given_up`."""

    def unreadable_times(self, posts: int) -> None:
        """Posts named a time that can't be read: their record's is used."""

    def analysed(self, posts: int, prompts: int) -> None:
        """These posts have their outcome; it took so many prompts."""


class NullAnalysisObserver:
    """Counts nothing."""

    def answers(self, cached: int, shared: int, asked: int) -> None:
        """Ignore."""

    def unreadable(self, task: str, recovered: int, given_up: int) -> None:
        """Ignore."""

    def unreadable_times(self, posts: int) -> None:
        """Ignore."""

    def analysed(self, posts: int, prompts: int) -> None:
        """Ignore."""


class _Flight:
    """One question about one text that is being asked. Whoever wants it, too, waits for it."""

    __slots__ = ("asking", "case", "first", "key", "others", "question", "wording")

    def __init__(self, key: bytes, question: Question, asking: "Asking", case: Case) -> None:
        self.key = key
        self.question = question
        self.asking = asking
        """The batch that asks it."""
        self.case = case
        """The post for which it is asked."""
        self.others: list[tuple[Asking, Case]] | None = None
        """Who waits for it besides."""
        self.wording = 0
        self.first: Unreadable | None = None
        """What came back in the first wording, while it is asked in another."""


class Inference:
    """Asks each question about each text once, over all batches under way."""

    def __init__(
        self,
        pool: ModelPool,
        builder: PromptBuilder | None,
        cache: AnswerCache[Answer],
        observer: AnalysisObserver | None = None,
    ) -> None:
        """Without a `builder`, `build` is to be set before anything is asked."""
        self.pool = pool
        self.build: BuildPrompt = _nothing_known if builder is None else builder.build
        self.cache = cache
        self.observer = observer or NullAnalysisObserver()
        self.flights: dict[bytes, _Flight] = {}

    def begin(self, on_found: OnFound, *, turn: int = 0) -> "Asking":
        """Ask a batch's questions, from within a `with`; lower turns are served first."""
        return Asking(self, on_found, turn)


class Asking:
    """The questions of one batch. Each answer is told as soon as it is there.

    Left by an exception or a cancellation, it abandons what it asks; whoever else waited for that
    asks it himself: neither an error nor a cancellation is passed on.
    """

    def __init__(self, inference: Inference, on_found: OnFound, turn: int) -> None:
        self._inference = inference
        self._on_found = on_found
        self._turn = turn
        self._loop = asyncio.get_running_loop()
        self._call: PromptCall | None = None
        self._todo: list[_Flight] = []
        """To be sent at the end of this turn of the event loop, together."""
        self._sent: dict[int, _Flight] = {}
        """By their prompts' numbers, until they are answered."""
        self._prompts = 0
        self._arrived: list[tuple[int, PoolAnswer | ModelError]] = []
        """Answers of this turn of the event loop, by their prompts' numbers."""
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._closed = False
        self._traced = current_batch.get() is not None
        self._cached = self._shared = self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._abandon()
        if self._done.done() and not self._done.cancelled():
            self._done.exception()  # seen, or asyncio would complain that nobody did
        self._inference.observer.answers(self._cached, self._shared, self._asked)

    async def wait(self) -> None:
        """Return once `finish` was called.

        Raises:
            Stop, PoolBroken, PoolClosed: as the pool does.
            Exception: what `on_found` raised, or reading an answer.
        """
        await self._done

    def on_failure(self, call: Callable[[BaseException], None]) -> None:
        """Have this called when it can't go on, with what `wait` raises. Not when cancelled.

        What it asks is abandoned then, though its `with` may be left much later.
        """

        def ended(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                self._abandon()
                call(error)

        self._done.add_done_callback(ended)

    def fail(self, error: BaseException) -> None:
        """Have `wait` raise this."""
        self._fail(error)

    def finish(self) -> None:
        """Have `wait` return: nothing more is wanted."""
        if not self._done.done():
            self._done.set_result(None)

    def want(self, case: Case, question: Question) -> None:
        """Have a question answered. What is known is told at once, from within this call."""
        if self._closed:  # nobody would ask it, and others would wait for it
            return
        inference = self._inference
        key = case.digest + question.suffix
        known = inference.cache.get(key)
        if known is not None:
            self._cached += 1
            self._on_found(case, question, known)
            return
        flight = inference.flights.get(key)
        if flight is not None:
            self._shared += 1
            if flight.others is None:
                flight.others = []
            flight.others.append((self, case))
            return
        self._asked += 1
        flight = inference.flights[key] = _Flight(key, question, self, case)
        self._ask(flight)

    def _ask(self, flight: _Flight) -> None:
        if not self._todo:
            self._loop.call_soon(self._send)
        self._todo.append(flight)

    def _send(self) -> None:
        if self._closed:
            return
        todo, self._todo = self._todo, []
        if len(todo) > 1:
            todo.sort(key=_rank)  # by question: servers cache an instruction that repeats
        self._sent.update(enumerate(todo, self._prompts))
        self._prompts += len(todo)
        build = self._inference.build
        try:
            prompts = [
                build(one.question.task, one.case.text, one.question.emotion, one.wording)
                for one in todo
            ]
            if self._traced:
                prompts = list(map(_traced, prompts, todo))
            if self._call is None:
                pool = self._inference.pool
                self._call = pool.open_call(self._on_answer, self._fail, turn=self._turn)
            self._call.send(prompts)
        except Exception as error:  # noqa: BLE001 - raised where the batch waits
            self._fail(error)

    def _on_answer(self, index: int, answer: PoolAnswer | ModelError) -> None:
        # Read at the end of this turn, together: reading them between the sockets' work, one by
        # one, took a third more CPU for a post.
        if not self._arrived:
            self._loop.call_soon(self._read_arrived)
        self._arrived.append((index, answer))

    def _read_arrived(self) -> None:
        arrived, self._arrived = self._arrived, []
        if self._closed:
            return
        try:
            for index, answer in arrived:
                self._take(index, answer)
        except Exception as error:  # noqa: BLE001 - raised where the batch waits
            self._fail(error)

    def _take(self, index: int, answer: PoolAnswer | ModelError) -> None:
        """Read an answer. What can't be read is asked once more, in the next wording.

        Nobody is told an unreadable answer before its second try has ended: they would take it
        for the last word.
        """
        flight = self._sent[index]
        question = flight.question
        value = _read(question, answer)
        flight.case.prompts += 1
        if answer.server:
            flight.case.server = answer.server
        first = flight.first
        if first is not None:
            readable = not isinstance(value, Unreadable | Poison)
            self._inference.observer.unreadable(
                question.task.name, int(readable), int(not readable)
            )
            if not readable:
                value = first
        elif isinstance(value, Unreadable):
            wording = question.task.next_wording(0)
            if wording is not None:
                del self._sent[index]
                flight.first = value
                flight.wording = wording
                self._ask(flight)
                return
            self._inference.observer.unreadable(question.task.name, 0, 1)
        del self._sent[index]
        self._settle(flight, value)

    def _settle(self, flight: _Flight, value: Answer) -> None:
        del self._inference.flights[flight.key]
        # What a server refuses, or answers unreadably, may be the server's fault: once it is
        # repaired, the next post with this text is answered.
        if not isinstance(value, Poison | Unreadable):
            self._inference.cache.put(flight.key, value)
        self._tell(flight.case, flight.question, value)
        for asking, case in flight.others or ():
            asking._tell(case, flight.question, value)  # noqa: SLF001 - its own class

    def _tell(self, case: Case, question: Question, value: Answer) -> None:
        if self._closed:
            return
        try:
            self._on_found(case, question, value)
        except Exception as error:  # noqa: BLE001 - one batch's bug is not another's
            self._fail(error)

    def _abandon(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._call is not None:
            self._call.close()
        for flight in (*self._sent.values(), *self._todo):
            self._hand_over(flight)

    def _hand_over(self, flight: _Flight) -> None:
        """Leave a question to the others who wait for it."""
        del self._inference.flights[flight.key]
        for asking, case in flight.others or ():
            if not asking._closed:  # noqa: SLF001 - its own class
                asking.want(case, flight.question)

    def _fail(self, error: BaseException) -> None:
        if not self._done.done():
            self._done.set_exception(error)


def _nothing_known(task: Task, *_: object) -> Prompt:
    raise RuntimeError(f"{task.name} is asked before a server has told what it serves")


def _traced(prompt: Prompt, flight: _Flight) -> Prompt:
    trace = flight.case.trace
    return prompt if trace is None else msgspec.structs.replace(prompt, trace=trace)


def _rank(flight: _Flight) -> int:
    return flight.question.rank


def _read(question: Question, answer: PoolAnswer | ModelError) -> Answer:
    if isinstance(answer, PoolAnswer):
        return question.task.read(answer.text, question.emotion)
    if isinstance(answer, Poison):
        return answer
    raise answer  # Stop; or a Retry, which the pool keeps to itself and the service tries again
