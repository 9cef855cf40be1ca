"""A second model beside the first: whose values an event has, and what becomes of its failures."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from structlog.testing import capture_logs

from consumer.analysis.agreement import LEAST_POSTS
from consumer.analysis.event_ids import EventIds
from consumer.analysis.second_opinion import NullOpinionObserver
from consumer.records import Emit, Outcome
from consumer.settings import Second, Tasks
from emollm.errors import FailedAlone, ModelError, Refused, Unavailable, WrongModel
from emollm.protocol import Prompt
from schemas import AffectEvent, DeadLetter, Sentiment
from tests.consumer.fakes import FakePool, canonical, event_of, make_analyzer, reach, record
from tests.emollm.pool.simulation import LoopClock, simulated

SMALL = {"V-reg": "0.5", "E-c": "anger, fear.", "EI-reg": "0.4"}


def small(prompt: Prompt) -> str:
    return SMALL[prompt.task]


def big_pool(say: Callable[[Prompt], str | ModelError] = canonical) -> FakePool:
    return FakePool(say, model="emollama")


def small_pool(say: Callable[[Prompt], str | ModelError] = small) -> FakePool:
    return FakePool(say, url="http://small")


class Seen(NullOpinionObserver):
    def __init__(self) -> None:
        self.opinions: list[tuple[str, int, int]] = []
        self.missing: Counter[str] = Counter()

    def opinion(self, whose: str, first_prompts: int, second_prompts: int) -> None:
        self.opinions.append((whose, first_prompts, second_prompts))

    def second_missing(self, reason: str) -> None:
        self.missing[reason] += 1


async def read(
    first: FakePool,
    second: FakePool | None,
    *,
    tasks: Tasks | None = None,
    options: Second | None = None,
) -> AffectEvent:
    (outcome,) = await make_analyzer(
        first, second=second, tasks=tasks, options=options, clock=LoopClock()
    ).process([record("x")])
    return event_of(outcome)


@simulated
async def test_scores_are_the_weighted_mean_and_the_classes_are_read_off_them() -> None:
    event = await read(big_pool(), small_pool())
    assert isinstance(event.sentiment, Sentiment)
    assert event.sentiment.valence == pytest.approx(0.7 * 0.879 + 0.3 * 0.5, abs=5e-4)
    assert event.sentiment.class_ == 2
    assert event.emotions == ("anger", "fear")
    assert event.intensity == {"anger": 0.54, "fear": 0.54}
    assert event.intensity_class == {"anger": 2, "fear": 0}
    assert event.opinion == "both"
    assert event.unanswered == {}


@simulated
async def test_labels_are_asked_of_the_second_alone_and_decide_what_both_are_asked() -> None:
    first, second = big_pool(), small_pool()
    event = await read(first, second)
    assert first.by_task == {"V-reg": 1, "EI-reg": 2}
    assert second.by_task == {"V-reg": 1, "EI-reg": 2, "E-c": 1}
    assert (event.model.id, event.model.server) == ("emollama", "http://gpu")
    assert msgspec.to_builtins(event.models) == {
        "first": {"id": "emollama", "revision": "r1", "server": "http://gpu", "prompts": 3},
        "second": {
            "id": "emostream-small",
            "revision": "r1",
            "server": "http://small",
            "prompts": 4,
        },
    }
    assert event.prompts == 7


@simulated
async def test_a_weight_of_zero_leaves_the_scores_to_the_first() -> None:
    second = small_pool()
    event = await read(big_pool(), second, options=Second(weight=0.0))
    assert second.by_task == {"E-c": 1}
    assert isinstance(event.sentiment, Sentiment)
    assert event.sentiment.valence == 0.879


@simulated
async def test_labels_may_be_left_to_the_first_and_then_gate_both() -> None:
    first, second = big_pool(), small_pool()
    event = await read(first, second, options=Second(second_tasks=()))
    assert first.by_task == {"V-reg": 1, "E-c": 1, "EI-reg": 1}
    assert second.by_task == {"V-reg": 1, "EI-reg": 1}
    assert event.emotions == ("joy", "optimism")
    assert event.intensity == {"joy": 0.54}


@simulated
async def test_a_class_that_is_asked_and_a_custom_task_are_the_firsts() -> None:
    custom = {"name": "irony", "wordings": ["Irony?"], "choices": ["yes", "no"]}
    tasks = Tasks(v_oc="ask", ei_emotions="all", custom=(custom,))
    first = big_pool(lambda p: "yes" if p.task == "irony" else canonical(p))
    second = small_pool()
    (outcome,) = await make_analyzer(
        first, second=second, tasks=tasks, custom=tasks.custom_tasks(), clock=LoopClock()
    ).process([record("x")])
    event = event_of(outcome)
    assert isinstance(event.sentiment, Sentiment)
    assert event.sentiment.class_ == 3
    assert event.custom == {"irony": "yes"}
    assert second.by_task == {"V-reg": 1, "E-c": 1, "EI-reg": 4}


@pytest.mark.parametrize("answer", ["banana", Refused("too long"), FailedAlone("three times")])
@simulated
async def test_what_the_second_can_not_read_is_asked_of_the_first(answer: str | ModelError) -> None:
    first = big_pool()
    event = await read(first, small_pool(lambda _: answer))
    assert event.opinion == "first"
    assert isinstance(event.sentiment, Sentiment)
    assert event.sentiment.valence == 0.879
    assert event.emotions == ("joy", "optimism")
    assert event.intensity == {"joy": 0.6}
    assert event.unanswered == {}
    assert first.by_task == {"V-reg": 1, "E-c": 1, "EI-reg": 1}


@pytest.mark.parametrize("error", [WrongModel("another"), Unavailable("gone"), KeyError("a bug")])
@simulated
async def test_a_second_that_ends_under_way_leaves_the_first_alone_and_only_a_bug_is_told(
    error: Exception,
) -> None:
    class Ending(FakePool):
        async def ask(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]
            raise error

    second = Ending(small, url="http://small")
    if isinstance(error, KeyError):
        with pytest.raises(KeyError):
            await read(big_pool(), second)
        return
    event = await read(big_pool(), second)
    assert event.opinion == "first"
    assert event.emotions == ("joy", "optimism")


@simulated
async def test_a_second_that_is_down_is_not_asked() -> None:
    second, seen = small_pool(), Seen()
    second.available = False
    analyzer = make_analyzer(big_pool(), second=second, opinions=seen, clock=LoopClock())
    (outcome,) = await analyzer.process([record("x")])
    assert event_of(outcome).opinion == "first"
    assert event_of(outcome).models.keys() == {"first"}
    assert second.calls == 0
    assert seen.missing == {"unavailable": 1}
    assert seen.opinions == [("first", 3, 0)]


@simulated
async def test_a_second_that_is_late_is_waited_for_a_second_and_no_longer() -> None:
    second, seen = small_pool(), Seen()
    second.gate.clear()
    analyzer = make_analyzer(big_pool(), second=second, opinions=seen, clock=LoopClock())
    watching = asyncio.ensure_future(analyzer.analyzer.watch())
    loop = asyncio.get_running_loop()
    began = loop.time()
    (outcome,) = await analyzer.process([record("x")])
    watching.cancel()
    assert 1.0 <= loop.time() - began <= 1.5
    event = event_of(outcome)
    assert event.opinion == "first"
    assert event.emotions == ("joy", "optimism")
    assert seen.missing == {"late": 1}


@simulated
async def test_a_second_is_waited_for_no_longer_where_the_first_has_nothing_else_to_do() -> None:
    """The gate is the second's, and the first is asked what follows from it alone."""
    first, second, seen = big_pool(), small_pool(), Seen()
    second.gate.clear()
    analyzer = make_analyzer(
        first,
        second=second,
        tasks=Tasks(v_reg=False, v_oc="off"),
        opinions=seen,
        clock=LoopClock(),
    )
    watching = asyncio.ensure_future(analyzer.analyzer.watch())
    async with asyncio.timeout(10.0):
        (outcome,) = await analyzer.process([record("x")])
    watching.cancel()
    assert event_of(outcome).emotions == ("joy", "optimism")
    assert first.by_task == {"E-c": 1, "EI-reg": 1}
    assert seen.missing == {"late": 1}


@simulated
async def test_a_second_is_waited_for_as_long_as_the_first_works() -> None:
    first, second = big_pool(), small_pool()
    first.gate.clear()
    second.gate.clear()
    analyzer = make_analyzer(first, second=second, clock=LoopClock())
    watching = asyncio.ensure_future(analyzer.analyzer.watch())
    asyncio.get_running_loop().call_later(20.0, second.gate.set)
    asyncio.get_running_loop().call_later(30.0, first.gate.set)
    (outcome,) = await analyzer.process([record("x")])
    watching.cancel()
    assert event_of(outcome).opinion == "both"


@simulated
async def test_a_post_that_only_the_second_can_read_is_its_event() -> None:
    event = await read(big_pool(lambda _: Refused("too long")), small_pool())
    assert event.opinion == "second"
    assert event.model.id == "emostream-small"
    assert event.model.server == "http://small"
    assert event.emotions == ("anger", "fear")
    assert event.unanswered == {}


@simulated
async def test_a_post_that_neither_can_read_is_a_dead_letter_of_the_first() -> None:
    (outcome,) = await make_analyzer(
        big_pool(lambda _: "banana"), second=small_pool(lambda _: "banana"), clock=LoopClock()
    ).process([record("x")])
    assert isinstance(outcome, DeadLetter)
    assert (outcome.class_name, outcome.model) == ("Unanswered", "emollama")


@simulated
async def test_a_first_that_says_nothing_readable_is_doubted_although_the_second_reads() -> None:
    first = big_pool(lambda _: "gibberish")
    first.passed.clear()

    def repaired() -> None:
        first.say = canonical
        first.passed.set()

    first.on_suspect = repaired
    found = await make_analyzer(first, second=small_pool(), clock=LoopClock()).process(
        [record(f"Number {n}.", n) for n in range(8)]
    )
    assert first.suspected == 1
    assert [event_of(one).opinion for one in found] == ["both"] * 8


@simulated
@pytest.mark.parametrize("alone", [False, True])
async def test_a_second_that_says_nothing_readable_of_five_posts_in_a_row_is_doubted(
    *, alone: bool
) -> None:
    first, second = big_pool(), small_pool(lambda _: "banana")
    first.available = not alone
    second.on_suspect = lambda: setattr(first, "available", True)
    first.passed.clear()
    analyzer = make_analyzer(
        first, second=second, options=Second(on_outage="second"), clock=LoopClock()
    )
    working = asyncio.ensure_future(analyzer.process([record(f"Number {n}.", n) for n in range(9)]))
    await reach(lambda: second.suspected == 1)
    first.passed.set()
    assert [event_of(one).opinion for one in await working] == ["first"] * 9


@simulated
async def test_a_second_that_reads_some_posts_or_is_refused_is_not_doubted() -> None:
    def some(prompt: Prompt) -> str | ModelError:
        if "Number 4." in prompt.text or "Number 8." in prompt.text:
            return small(prompt)
        return Refused("too long") if "Number 5." in prompt.text else "banana"

    second = small_pool(some)
    analyzer = make_analyzer(big_pool(), second=second, clock=LoopClock())
    for n in range(10):
        await analyzer.process([record(f"Number {n}.", n)])
    assert second.suspected == 0


@simulated
async def test_without_a_first_the_second_answers_alone_and_tells_what_it_is_not_asked() -> None:
    custom = {"name": "irony", "wordings": ["Irony?"], "choices": ["yes", "no"]}
    tasks = Tasks(custom=(custom,))
    first, second = big_pool(), small_pool()
    first.available = False
    analyzer = make_analyzer(
        first,
        second=second,
        tasks=tasks,
        custom=tasks.custom_tasks(),
        options=Second(on_outage="second"),
        clock=LoopClock(),
    )
    assert analyzer.analyzer.available
    (outcome,) = await analyzer.process([record("x")])
    event = event_of(outcome)
    assert event.opinion == "second"
    assert event.model.id == "emostream-small"
    assert isinstance(event.sentiment, Sentiment)
    assert event.sentiment.valence == 0.5
    assert event.intensity == {"anger": 0.4, "fear": 0.4}
    assert set(event.unanswered) == {"irony"}
    assert first.calls == 0


@simulated
async def test_what_the_second_can_not_read_alone_waits_for_the_first() -> None:
    first, second = big_pool(), small_pool(lambda _: "banana")
    first.available = False
    first.passed.clear()
    working = asyncio.ensure_future(
        make_analyzer(
            first, second=second, options=Second(on_outage="second"), clock=LoopClock()
        ).process([record("x")])
    )
    await reach(lambda: second.calls > 2)
    assert not working.done()
    first.available = True
    first.passed.set()
    (outcome,) = await working
    event = event_of(outcome)
    assert event.opinion == "first"
    # What it was asked in vain is counted, too.
    prompts = {role: use.prompts for role, use in event.models.items()}
    assert prompts == {"first": first.by_task.total(), "second": second.by_task.total()}
    assert event.prompts == sum(prompts.values())


@simulated
async def test_a_post_that_is_asked_about_again_is_no_cached_one_and_has_cost_what_it_did() -> None:
    """The first goes while it has the post; the second has answered it already, and stands in."""
    first, second = big_pool(), small_pool()
    first.gate.clear()
    analyzer = make_analyzer(
        first, second=second, options=Second(on_outage="second"), clock=LoopClock()
    )
    watching = asyncio.ensure_future(analyzer.analyzer.watch())
    working = asyncio.ensure_future(analyzer.process([record("x")]))
    await reach(lambda: second.by_task.total() == 4)
    first.available = False
    (outcome,) = await working
    watching.cancel()
    event = event_of(outcome)
    assert (event.opinion, event.prompts, event.cached) == ("second", 4, False)
    assert (event.models["second"].prompts, event.models["second"].server) == (4, "http://small")


@simulated
async def test_an_events_id_is_the_same_whoever_reads_it() -> None:
    ids = set()
    for first, second in ((True, True), (True, False), (False, True)):
        pools = big_pool(), small_pool()
        pools[0].available, pools[1].available = first, second
        event = await read(*pools, options=Second(on_outage="second"))
        ids.add(event.id)
    ids.add((await read(big_pool(), None)).id)
    assert len(ids) == 1


def test_a_configured_second_is_part_of_the_id_as_the_first_is() -> None:
    where = ("posts", 0, 7, b"value")
    plain = EventIds("V-reg", model="big").of(*where)
    assert EventIds("V-reg", model="big", second=("", "")).of(*where) == plain
    assert EventIds("V-reg", model="big", second=("small", "")).of(*where) != plain


@simulated
async def test_the_models_answers_are_cached_apart() -> None:
    first, second = FakePool(), FakePool(small)  # one id, one revision
    analyzer = make_analyzer(first, second=second, clock=LoopClock())
    once = event_of((await analyzer.process([record("x", 0)]))[0])
    again = event_of((await analyzer.process([record("x", 1)]))[0])
    assert (first.by_task, second.by_task["V-reg"]) == ({"V-reg": 1, "EI-reg": 2}, 1)
    assert again.sentiment == once.sentiment
    assert again.cached
    assert again.prompts == 0
    assert again.opinion == "both"


@simulated
async def test_without_a_second_no_event_says_a_word_of_it() -> None:
    (outcome,) = await make_analyzer(FakePool()).process([record("x")])
    assert isinstance(outcome, Emit)
    assert b"opinion" not in outcome.value
    assert b'"models"' not in outcome.value


@simulated
async def test_a_batch_of_many_posts_settles_each_of_them_once() -> None:
    first = big_pool(lambda p: "banana" if "7" in p.text else canonical(p))
    second = small_pool(lambda p: "banana" if "5" in p.text else small(p))
    found: list[Outcome] = await make_analyzer(first, second=second, clock=LoopClock()).process(
        [record(f"Number {n}.", n) for n in range(60)]
    )
    opinions = Counter(event_of(one).opinion for one in found if not isinstance(one, DeadLetter))
    assert opinions == {"both": 40, "second": 5, "first": 14}
    assert sum(isinstance(one, DeadLetter) for one in found) == 1


def numbered(score: Callable[[int], float]) -> Callable[[Prompt], str]:
    """Answers whose valence depends on the number in the post."""

    def say(prompt: Prompt) -> str:
        found = re.search(r"Post number (\d+)", prompt.text)
        assert found is not None
        return f"{score(int(found[1])):.3f}" if prompt.task == "V-reg" else small(prompt)

    return say


@pytest.mark.parametrize("knows", [True, False])
@simulated
async def test_a_second_that_does_not_know_the_posts_is_told_in_the_log_each_hour(
    monkeypatch: pytest.MonkeyPatch, knows: bool
) -> None:
    monkeypatch.setattr("consumer.analysis.second_opinion.LOOK_S", 10.0)
    big = big_pool(numbered(lambda n: n / LEAST_POSTS))
    other = small_pool(numbered(lambda n: (n if knows else n * 73 % LEAST_POSTS) / LEAST_POSTS))
    analyzer = make_analyzer(
        big, second=other, tasks=Tasks(e_c=False, ei_reg=False, ei_oc="off"), clock=LoopClock()
    )
    watching = asyncio.ensure_future(analyzer.analyzer.watch())
    with capture_logs() as logs:
        await analyzer.process([record(f"Post number {n}", n) for n in range(LEAST_POSTS)])
        await asyncio.sleep(15.0)
        told = [entry for entry in logs if entry["event"] == "second_model_disagrees"]
        assert len(told) == (0 if knows else 1)
        await asyncio.sleep(2 * 3600.0)
    watching.cancel()
    told = [entry for entry in logs if entry["event"] == "second_model_disagrees"]
    assert len(told) == (0 if knows else 3)
    for entry in told:
        assert entry["correlation"] < 0.77
        assert "model.second.weight" in entry["advice"]
    problems = analyzer.analyzer.second_problems()
    assert [("lower model.second.weight" in one) for one in problems] == [True] * (not knows)


@simulated
async def test_a_second_that_says_the_same_of_every_post_is_told_as_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumer.analysis.second_opinion.LOOK_S", 10.0)
    big = big_pool(numbered(lambda n: n / LEAST_POSTS))
    tasks = Tasks(e_c=False, ei_reg=False, ei_oc="off")
    analyzer = make_analyzer(big, second=small_pool(), tasks=tasks, clock=LoopClock())
    watching = asyncio.ensure_future(analyzer.analyzer.watch())
    with capture_logs() as logs:
        await analyzer.process([record(f"Post number {n}", n) for n in range(LEAST_POSTS)])
        await asyncio.sleep(15.0)
    watching.cancel()
    (told,) = [entry for entry in logs if entry["event"] == "second_model_disagrees"]
    assert told["correlation"] == 0.0
    assert told["advice"].startswith("the second model gave")
    assert analyzer.analyzer.second_problems() == [told["advice"]]
