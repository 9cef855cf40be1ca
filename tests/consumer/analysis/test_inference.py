"""Every question about a text is asked once, whatever fails or is cancelled around it."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.analysis.cache import AnswerCache
from consumer.analysis.case import Answer, Case
from consumer.analysis.decoder import Decoded
from consumer.analysis.inference import Inference
from consumer.analysis.plan import Question
from emollm.errors import ModelError, Unavailable
from emollm.prompts import PreparedText, PromptBuilder
from emollm.protocol import PoolAnswer, Prompt
from emollm.tasks import V_REG
from schemas import Post
from tests.consumer.fakes import FakePool, reach, record

QUESTION = Question(task=V_REG, emotion=None, name="V-reg", rank=0, suffix=b"\0\0")
BUILDER = PromptBuilder([V_REG])
DECODED = Decoded(Post(id="p", text="x"), time_from_record=False)


class MoodyPool(FakePool):
    """Takes its time, and fails, as the test draws it. Each text has an answer of its own."""

    def __init__(self, moods: list[tuple[int, bool]]) -> None:
        super().__init__()
        self.moods = moods
        self.answered: Counter[str] = Counter()

    async def ask(
        self, prompts: Sequence[Prompt], *, turn: int = 0
    ) -> list[PoolAnswer | ModelError]:
        steps, fails = self.moods.pop() if self.moods else (0, False)
        for _ in range(steps):
            await asyncio.sleep(0)
        if fails:
            raise Unavailable("a mood")
        numbers = [prompt.text.split("Number ")[1][0] for prompt in prompts]
        self.answered.update(numbers)
        return [
            PoolAnswer(text=f"0.{number}", server="http://gpu", attempts=1) for number in numbers
        ]


async def ask(inference: Inference, numbers: list[int], delay: int) -> dict[int, Answer]:
    for _ in range(delay):
        await asyncio.sleep(0)
    found: dict[int, Answer] = {}

    def on_found(case: Case, _: Question, answer: Answer) -> None:
        assert case.record.offset not in found, "told twice"
        found[case.record.offset] = answer
        if len(found) == len(numbers):
            asking.finish()

    with inference.begin(on_found) as asking:
        for n in numbers:
            asking.want(
                Case(record("", n), DECODED, PreparedText(f"Number {n}."), b"%016d" % n), QUESTION
            )
        await asking.wait()
    return found


CALLS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True),
        st.integers(0, 6),  # steps before it asks
        st.none() | st.integers(0, 12),  # steps before it is cancelled
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(
    calls=CALLS,
    moods=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=8),
    entries=st.sampled_from([0, 2, 100]),
)
async def test_whoever_is_neither_cancelled_nor_failed_gets_every_answer(
    calls: list[tuple[list[int], int, int | None]], moods: list[tuple[int, bool]], entries: int
) -> None:
    calm = not any(fails for _, fails in moods) and not any(c[2] is not None for c in calls)
    pool = MoodyPool(moods)
    cache = AnswerCache[Answer](max_entries=entries)
    inference = Inference(pool, BUILDER, cache)
    tasks = [asyncio.ensure_future(ask(inference, numbers, delay)) for numbers, delay, _ in calls]
    for step in range(13):
        for task, (_, _, cancel_at) in zip(tasks, calls, strict=True):
            if cancel_at == step:
                task.cancel()
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for (numbers, _, cancel_at), result in zip(calls, results, strict=True):
        if isinstance(result, asyncio.CancelledError):
            assert cancel_at is not None
        elif not isinstance(result, Unavailable):
            assert result == {n: n / 10 for n in numbers}
    assert not inference.flights
    if calm and entries == 100:
        assert all(count == 1 for count in pool.answered.values())


async def test_a_follower_takes_an_answer_only_once_its_second_try_has_ended() -> None:
    """The one who asks is cancelled between the unreadable answer and its second try."""
    pool = FakePool()

    def say(_: Prompt) -> str:
        pool.gate.clear()  # the next call, the second try, waits
        return "no number"

    pool.say = say
    inference = Inference(pool, BUILDER, AnswerCache[Answer](max_entries=10))
    leader = asyncio.ensure_future(ask(inference, [1], 0))
    await reach(lambda: pool.calls == 2)
    follower = asyncio.ensure_future(ask(inference, [1], 0))
    await asyncio.sleep(0)
    leader.cancel()
    pool.say = lambda _: "0.5"
    pool.gate.set()
    assert await follower == {1: 0.5}


async def test_what_a_failed_batch_asked_is_asked_by_those_who_wait_for_it_at_once() -> None:
    """The failed one may be kept open: a second model's, until the first has answered."""
    inference = Inference(MoodyPool([(5, True)]), BUILDER, AnswerCache[Answer](max_entries=10))
    case = Case(record(""), DECODED, PreparedText("Number 3."), b"%016d" % 3)
    failures: list[BaseException] = []
    with inference.begin(lambda *_: None) as failed:
        failed.on_failure(failures.append)
        failed.want(case, QUESTION)
        assert await asyncio.wait_for(ask(inference, [3], 0), 20.0) == {3: 0.3}
        assert len(failures) == 1
    assert not inference.flights


async def test_what_a_batch_wants_after_it_failed_keeps_nobody_else_waiting() -> None:
    """The first model's answer may come between the second's failure and the batch's end."""
    inference = Inference(MoodyPool([]), BUILDER, AnswerCache[Answer](max_entries=10))
    case = Case(record(""), DECODED, PreparedText("Number 3."), b"%016d" % 3)
    failures: list[BaseException] = []
    with inference.begin(lambda *_: None) as failed:
        failed.on_failure(failures.append)
        failed.fail(KeyError("a bug"))
        await reach(lambda: bool(failures))
        failed.want(case, QUESTION)
        assert not inference.flights
        assert await asyncio.wait_for(ask(inference, [3], 0), 20.0) == {3: 0.3}
