"""One row to its line: what is asked of it, and what is written about the answers."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from consumer.analysis.plan import Plan, Question
from emollm.bands import intensity_class, valence_class
from emollm.errors import Poison
from emollm.instructions import KNOWN_TASKS, parse, unwrapped
from emollm.protocol import PoolAnswer, Prompt
from emollm.readers import Unreadable, Value
from emollm.tasks import EI_REG, V_REG
from emostream.batch.journal import Answer, Known
from emostream.batch.model import BatchModel
from emostream.batch.rows import Row

_ONE = "answer"
"""The question of a row that is a whole instruction."""
_OF_AN_INSTRUCTION = {"value", "unreadable"}
"""What a line has of its instruction's answer, beside `pred`, which names the models."""
_OF_A_POST = {"model", "answers", "values", "unreadable", "text_truncated"}


class Counts(msgspec.Struct):
    """What became of the answers of one run."""

    rows: int = 0
    """Lines that were written."""
    asked: int = 0
    """Prompts that were sent."""
    unreadable: int = 0
    errors: int = 0
    """Rows that couldn't be read, and prompts that the server refused."""
    errors_before: int = 0
    """Rows with an `error` in what the runs before wrote of the same output."""


class Asker:
    """Asks the model about rows. What `known` has isn't asked; `note` is told each answer."""

    def __init__(
        self,
        model: BatchModel,
        plan: Plan,
        *,
        wording: int = 0,
        known: Known | None = None,
        note: Callable[[Answer], None] = lambda _: None,
    ) -> None:
        self._model = model
        self._plan = plan
        self._wording = wording
        self._known: Known = {} if known is None else known
        self._note = note
        self.counts = Counts()

    async def line(self, row: Row) -> bytes:
        """Ask what is to be asked of a row, and return its line: JSON, without a newline.

        All fields of the row stay. An instruction gets `pred` (the answer by model) and, where its
        task is known, `value` or `unreadable`; a post gets `answers`, `values` and `unreadable`, by
        question, and `text_truncated` where the model saw its beginning only. `error` says why
        there is no answer.

        Raises:
            emollm.errors.Stop: no server can be asked until a human acts.
        """
        if row.problem is not None:
            self.counts.errors += 1
            return _line(row, error=row.problem)
        if row.instruction is not None:
            return await self._instruction(row, row.instruction)
        assert row.text is not None
        return await self._post(row, row.text)

    async def _instruction(self, row: Row, text: str) -> bytes:
        instruction = unwrapped(text)
        asked = parse(instruction)
        name = asked.tasks[0] if asked is not None and len(asked.tasks) == 1 else None
        prompt = self._model.prompt(instruction, name)
        (answer,) = await self._ask(row.number, [(_ONE, prompt)])
        before = row.fields.get("pred")
        pred = dict(before) if isinstance(before, dict) else {}
        pred.pop(self._model.name, None)  # of an earlier run; the other models' stay
        if answer.text is None:
            others = {"pred": pred} if pred else {}
            return _line(row, {*_OF_AN_INSTRUCTION, "pred"}, **others, error=answer.error)
        pred[self._model.name] = answer.text
        if name is None or asked is None:
            return _line(row, pred=pred)
        value = KNOWN_TASKS[name].read(answer.text, asked.emotion)
        if isinstance(value, Unreadable):
            self.counts.unreadable += 1
            return _line(row, _OF_AN_INSTRUCTION, pred=pred, unreadable=value.reason)
        return _line(row, _OF_AN_INSTRUCTION, pred=pred, value=value)

    async def _post(self, row: Row, text: str) -> bytes:
        plan = self._plan
        prepared = self._model.builder.prepare(text)
        said: dict[str, Any] = {"model": self._model.name, "answers": {}, "values": {}}
        if prepared.truncated:
            said["text_truncated"] = True

        async def ask(questions: Sequence[Question]) -> None:
            prompts = [
                (
                    one.name,
                    self._model.builder.build(
                        one.task, prepared, one.emotion, self._wording % len(one.task.wordings)
                    ),
                )
                for one in questions
            ]
            answers = await self._ask(row.number, prompts)
            for one, answer in zip(questions, answers, strict=True):
                self._put(said, one, answer)

        gate = plan.gate
        await ask([*([gate] if gate is not None else []), *plan.always])
        if gate is not None and (more := plan.after(said["values"].get(gate.name))):
            await ask(more)
        _derive(plan, said["values"])
        return _line(row, _OF_A_POST, **said)

    def _put(self, said: dict[str, Any], one: Question, answer: Answer) -> None:
        if answer.text is None:
            said.setdefault("error", {})[one.name] = answer.error
            return
        said["answers"][one.name] = answer.text
        value = one.task.read(answer.text, one.emotion)
        if isinstance(value, Unreadable):
            self.counts.unreadable += 1
            said.setdefault("unreadable", {})[one.name] = value.reason
        else:
            said["values"][one.name] = value

    async def _ask(self, row: int, prompts: Sequence[tuple[str, Prompt]]) -> list[Answer]:
        """Answer each prompt: those that are known from before, the others from the model."""
        found = {name: self._known.pop((row, name), None) for name, _ in prompts}
        # Each on its own, so that an answer is kept as soon as it is there.
        missing = [(name, prompt) for name, prompt in prompts if found[name] is None]
        answers = await asyncio.gather(*(self._answer(row, *one) for one in missing))
        found |= {answer.question: answer for answer in answers}
        ordered = [answer for name, _ in prompts if (answer := found[name]) is not None]
        self.counts.errors += sum(answer.text is None for answer in ordered)
        return ordered

    async def _answer(self, row: int, name: str, prompt: Prompt) -> Answer:
        self.counts.asked += 1
        (given,) = await self._model.pool.ask([prompt])
        if isinstance(given, PoolAnswer):
            answer = Answer(row, name, given.text)
        elif isinstance(given, Poison):
            answer = Answer(row, name, None, f"refused by the model server: {given}")
        else:
            raise given
        self._note(answer)
        return answer


def _derive(plan: Plan, values: dict[str, Value]) -> None:
    """Add the ordinal classes that follow from the scores, where the plan doesn't ask for them."""
    valence = values.get(V_REG.name)
    if plan.derive_valence_class and isinstance(valence, int | float):
        values["V-oc"] = valence_class(valence)
    if plan.derive_intensity_class:
        for emotion in EI_REG.emotions:
            score = values.get(EI_REG.key(emotion))
            if isinstance(score, int | float):
                values[f"EI-oc:{emotion}"] = intensity_class(emotion, score)


def _line(row: Row, results: Collection[str] = (), **more: Any) -> bytes:
    """The row's fields, without the `results` of a run before: this one may not have each."""
    stale = {"error", *results}
    mine = {name: value for name, value in row.fields.items() if name not in stale}
    return msgspec.json.encode({**mine, **more})
