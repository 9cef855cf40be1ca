"""When posts in a row get no readable answer, the model is doubted and not the posts."""

import asyncio
from typing import Any

import pytest

from consumer.records import Emit, Outcome, Record, Skip
from emollm.errors import FailedAlone, ModelError, Refused, WrongModel
from emollm.protocol import Prompt
from schemas import DeadLetter
from tests.consumer.fakes import FakePool, canonical, make_analyzer, reach, record


async def test_five_unanswered_posts_in_a_row_wait_for_the_canary_and_are_asked_again() -> None:
    pool = FakePool(lambda _: "gibberish")
    pool.passed.clear()
    found: dict[int, Outcome] = {}
    working = asyncio.ensure_future(
        make_analyzer(pool).analyzer.process(
            [record(f"Number {n}.", n) for n in range(8)],
            lambda one, outcome: found.update({one.offset: outcome}),
        )
    )
    await reach(lambda: pool.suspected == 1)
    assert found == {}
    pool.say = canonical
    pool.passed.set()
    await working
    assert len(found) == 8
    assert all(isinstance(outcome, Emit) for outcome in found.values())


async def test_while_no_server_passes_the_canary_no_unanswered_post_is_a_dead_letter() -> None:
    pool = FakePool(lambda _: "gibberish")

    async def never() -> None:
        raise WrongModel("another model")

    pool.wait_available = never  # type: ignore[method-assign]
    found: list[Outcome] = []
    with pytest.raises(WrongModel):
        await make_analyzer(pool).analyzer.process(
            [record(f"Number {n}.", n) for n in range(6)], lambda _, outcome: found.append(outcome)
        )
    assert found == []


async def test_an_unanswered_post_waits_while_the_model_is_doubted_for_others() -> None:
    """One alone is no reason to doubt it; its answers are those of the model that is doubted."""
    pool = FakePool(lambda _: "gibberish")
    pool.available = False
    waiting = asyncio.Event()

    async def wait_available() -> None:
        waiting.set()
        await pool.passed.wait()

    pool.wait_available = wait_available  # type: ignore[method-assign]
    pool.passed.clear()
    found: list[Outcome] = []
    working = asyncio.ensure_future(
        make_analyzer(pool).analyzer.process(
            [record("Number 1.")], lambda _, outcome: found.append(outcome)
        )
    )
    await reach(lambda: waiting.is_set() or working.done())
    assert found == []
    pool.say, pool.available = canonical, True
    pool.passed.set()
    await working
    assert pool.suspected == 0
    (outcome,) = found
    assert isinstance(outcome, Emit)


async def test_posts_that_stay_unanswered_after_the_canary_are_dead_letters() -> None:
    pool = FakePool(lambda _: "gibberish")
    found = await make_analyzer(pool).process([record(f"Number {n}.", n) for n in range(6)])
    assert pool.suspected == 1
    assert {one.class_name for one in found if isinstance(one, DeadLetter)} == {"Unanswered"}
    assert len(found) == 6


async def test_unanswered_posts_between_answered_ones_are_no_reason_to_doubt() -> None:
    pool = FakePool(lambda p: "gibberish" if "odd" in p.text else canonical(p))
    texts = [("odd" if n % 2 else "even") + f" {n}" for n in range(40)]
    found = await make_analyzer(pool).process([record(t, n) for n, t in enumerate(texts)])
    assert pool.suspected == 0
    assert sum(isinstance(one, DeadLetter) for one in found) == 20


async def test_unanswered_posts_are_counted_over_batches() -> None:
    pool = FakePool(lambda _: "gibberish")
    analyzer = make_analyzer(pool)
    for number in range(5):
        await analyzer.process([record(f"Number {number}.", number)])
    assert pool.suspected == 1


async def test_a_post_that_breaks_servers_is_asked_nothing_more() -> None:
    def say(prompt: Prompt) -> str | ModelError:
        return FailedAlone("three times") if prompt.task == "E-c" else canonical(prompt)

    pool = FakePool(say)
    (outcome,) = await make_analyzer(pool).process([record("x")])
    assert isinstance(outcome, Emit)
    assert set(pool.by_task) == {"E-c", "V-reg"}


async def test_a_dead_letter_of_the_model_names_the_model() -> None:
    for answer in ("gibberish", FailedAlone("three times")):
        pool = FakePool(lambda _, answer=answer: answer)  # type: ignore[misc]
        (outcome,) = await make_analyzer(pool).process([record("x")])
        assert isinstance(outcome, DeadLetter)
        assert outcome.model == "emostream-small"


@pytest.mark.parametrize("value", [b"junk", b"{}", b"", None])
async def test_a_dead_letter_of_decoding_names_the_model_too(value: bytes | None) -> None:
    (outcome,) = await make_analyzer(FakePool()).process([record("", value=value)])
    if value is None:
        assert isinstance(outcome, Skip)
        return
    assert isinstance(outcome, DeadLetter)
    assert (outcome.stage, outcome.model) == ("decode", "emostream-small")


async def test_a_bug_about_one_post_leaves_its_batch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    analyzer = make_analyzer(FakePool()).analyzer
    build = analyzer._events.build

    def raising(one: Record, *args: Any, **kwargs: Any) -> Outcome:
        if one.offset == 1:
            raise KeyError("a bug")
        return build(one, *args, **kwargs)

    monkeypatch.setattr(analyzer._events, "build", raising)
    found: list[int] = []
    with pytest.raises(KeyError):
        await analyzer.process(
            [record(f"Number {n}.", n) for n in range(4)], lambda one, _: found.append(one.offset)
        )
    assert found == [0, 2, 3]


async def test_refused_and_unreadable_answers_together_are_the_readings_affair() -> None:
    """One refusal among unreadable answers is no reason to blame the post's validation."""

    def say(prompt: Prompt) -> str | ModelError:
        return Refused("too long") if prompt.task == "V-reg" else "gibberish"

    (mixed,) = await make_analyzer(FakePool(say)).process([record("x")])
    (refused,) = await make_analyzer(FakePool(lambda _: Refused("too long"))).process([record("x")])
    assert isinstance(mixed, DeadLetter)
    assert isinstance(refused, DeadLetter)
    assert (mixed.stage, mixed.class_name) == ("read", "Unanswered")
    assert (refused.stage, refused.class_name) == ("infer", "Refused")
