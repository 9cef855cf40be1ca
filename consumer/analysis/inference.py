"""Answers to questions about texts, each asked once: the cache, what is in flight, the model.

Identical texts are a large part of social media. A question about a text that was answered is not
asked; one that is being asked, for this batch or another, is waited for.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol, TypeAlias

import msgspec

from consumer.analysis.cache import AnswerCache
from consumer.analysis.plan import Question
from emollm.errors import ModelError, Poison
from emollm.prompts import PreparedText, PromptBuilder
from emollm.protocol import ModelPool, PoolAnswer, Prompt
from emollm.readers import Unreadable, Value

Answer: TypeAlias = Value | Unreadable | Poison
"""What became of a question: a value, an answer that can't be read, or a refusal."""

Wanted: TypeAlias = Mapping[bytes, tuple[Question, PreparedText]]
"""Key of an answer (digest of the text, suffix of the question) to what is to ask."""


DIGEST_BYTES = 16
"""Of a text: 128 bits, so that no two texts meet by chance."""


class AnalysisObserver(Protocol):
    """What the analysis tells those who count. Called inline: must be quick and not raise."""

    def answers(self, cached: int, shared: int, asked: int) -> None:
        """Of the questions of some posts, `cached` were known and `shared` were being asked."""

    def unreadable(self, task: str, mended: int, given_up: int) -> None:
        """First answers that couldn't be read: `mended` by another wording, or `given_up`."""

    def unreadable_times(self, posts: int) -> None:
        """Posts named a time that can't be read: their record's is used."""

    def analysed(self, posts: int, prompts: int) -> None:
        """These posts have their outcome; it took so many prompts."""


class NullAnalysisObserver:
    """Counts nothing."""

    def answers(self, cached: int, shared: int, asked: int) -> None:
        """Ignore."""

    def unreadable(self, task: str, mended: int, given_up: int) -> None:
        """Ignore."""

    def unreadable_times(self, posts: int) -> None:
        """Ignore."""

    def analysed(self, posts: int, prompts: int) -> None:
        """Ignore."""


class Asked(msgspec.Struct):
    """What asking one question took."""

    server: str | None
    """Base URL of who answered; None where nobody did."""
    prompts: int = 1


class Answers(msgspec.Struct):
    """What is known of some questions, by key."""

    found: dict[bytes, Answer] = msgspec.field(default_factory=dict)
    asked: dict[bytes, Asked] = msgspec.field(default_factory=dict)
    """Of the questions that were asked on this call; the others cost nothing."""


class _Flight:
    """Questions that one call is asking, and that others may wait for."""

    __slots__ = ("done", "found")

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the asking ended, well or not. Never holds an error."""
        self.found: dict[bytes, Answer] = {}


class Inference:
    """Asks each question about each text once, over all batches under way."""

    def __init__(
        self,
        pool: ModelPool,
        builder: PromptBuilder,
        cache: AnswerCache[Answer],
        observer: AnalysisObserver | None = None,
    ) -> None:
        self._pool = pool
        self._builder = builder
        self._cache = cache
        self._observer = observer or NullAnalysisObserver()
        self._flights: dict[bytes, _Flight] = {}

    async def ask(self, wanted: Wanted, answers: Answers, *, turn: int = 0) -> None:
        """Put the answer to every wanted question into `answers`; lower turns are served first.

        Raises:
            Stop: as the pool does. Whoever waited for a question that this call was asking, and
                didn't get, asks it himself: neither an error nor a cancellation is passed on.
        """
        missing = wanted
        cached = shared = asked = 0
        while missing:
            lead: list[bytes] = []
            follow: dict[bytes, _Flight] = {}
            for key in missing:
                known = self._cache.get(key)
                if known is not None:
                    answers.found[key] = known
                    cached += 1
                elif (flight := self._flights.get(key)) is not None:
                    follow[key] = flight
                else:
                    lead.append(key)
            if lead:
                asked += len(lead)
                await self._lead(lead, wanted, answers, turn)
            if follow:
                # Not `await flight.done`: our cancellation would cancel it for everyone.
                await asyncio.wait({flight.done for flight in follow.values()})
                for key, flight in follow.items():
                    if key in flight.found:
                        answers.found[key] = flight.found[key]
                        shared += 1
            missing = {key: wanted[key] for key in follow if key not in answers.found}
        self._observer.answers(cached, shared, asked)

    async def _lead(self, keys: list[bytes], wanted: Wanted, answers: Answers, turn: int) -> None:
        flight = _Flight()
        self._flights.update(dict.fromkeys(keys, flight))
        try:
            await self._ask_model(keys, wanted, flight.found, answers.asked, turn)
            for key, answer in flight.found.items():
                # What a server refuses, or answers unreadably, may be the server's fault: once it
                # is repaired, the next post with this text is answered.
                if not isinstance(answer, Poison | Unreadable):
                    self._cache.put(key, answer)
            answers.found.update(flight.found)
        finally:
            for key in keys:
                del self._flights[key]
            flight.done.set_result(None)

    async def _ask_model(
        self,
        keys: list[bytes],
        wanted: Wanted,
        found: dict[bytes, Answer],
        asked: dict[bytes, Asked],
        turn: int,
    ) -> None:
        """Ask in the first wording; what comes back unreadable once more, in the next one.

        An unreadable answer is `found` only once its second try has ended: others take what is
        found, and would take it for the last word.
        """
        keys.sort(key=_suffix)  # by question: servers cache an instruction that repeats
        build = self._builder.build
        prompts = [
            build(question.task, text, question.emotion)
            for question, text in map(wanted.__getitem__, keys)
        ]
        again: dict[bytes, Answer] = {}
        repairs: list[Prompt] = []
        for key, answer in zip(keys, await self._pool.ask(prompts, turn=turn), strict=True):
            question, text = wanted[key]
            value = _read(question, answer)
            asked[key] = Asked(answer.server)
            if isinstance(value, Unreadable):
                wording = question.task.next_wording(0)
                if wording is not None:
                    again[key] = value
                    repairs.append(build(question.task, text, question.emotion, wording))
                    continue
                self._observer.unreadable(question.task.name, 0, 1)
            found[key] = value
        if not again:
            return
        answered = await self._pool.ask(repairs, turn=turn)
        for (key, first), answer in zip(again.items(), answered, strict=True):
            question = wanted[key][0]
            value = _read(question, answer)
            asked[key].prompts += 1
            readable = not isinstance(value, Unreadable | Poison)
            found[key] = value if readable else first
            if readable:
                asked[key].server = answer.server
            self._observer.unreadable(question.task.name, int(readable), int(not readable))


def _suffix(key: bytes) -> bytes:
    """The question's part of a key; they sort as in the plan."""
    return key[DIGEST_BYTES:]


def _read(question: Question, answer: PoolAnswer | ModelError) -> Answer:
    if isinstance(answer, PoolAnswer):
        return question.task.read(answer.text, question.emotion)
    if isinstance(answer, Poison):
        return answer
    raise answer  # Stop; or a Retry, which the pool keeps to itself and the service tries again
