"""Each record gets its one outcome, for as few prompts as its answers allow."""

import asyncio
import json
import uuid
from collections import Counter
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from consumer.analysis.event_ids import uuid5_of
from consumer.records import Emit, Outcome
from consumer.settings import Tasks
from emollm.custom import CustomTask
from emollm.errors import FailedAlone, ModelError, Refused, Unauthorized
from emollm.protocol import Prompt
from runtime.registry.errors import Unencodable
from runtime.registry.values import Encoded
from schemas import AffectEvent, DeadLetter, Sentiment
from tests.consumer.fakes import FakePool, canonical, event_of, make_analyzer, reach, record


async def one(pool: FakePool, text: str = "What a day!", **options: Any) -> AffectEvent:
    (outcome,) = await make_analyzer(pool, **options).process([record(text)])
    return event_of(outcome)


async def test_the_whole_profile_costs_three_prompts_for_one_emotion_with_intensity() -> None:
    pool = FakePool()
    event = await one(pool)
    assert pool.by_task == {"E-c": 1, "V-reg": 1, "EI-reg": 1}
    assert event.prompts == 3
    assert event.sentiment == Sentiment(valence=0.879, class_=3)
    assert event.emotions == ("joy", "optimism")
    assert event.intensity == {"joy": 0.6}
    assert event.intensity_class == {"joy": 2}
    assert event.derived == ("sentiment.class", "intensity_class.joy")
    assert event.unanswered == {}
    assert not event.cached
    assert event.model.id == "emostream-small"
    assert (event.model.revision, event.model.server) == ("r1", "http://gpu")


async def test_the_cascade_asks_the_four_intensities_only_where_e_c_found_them() -> None:
    labels = ["neutral or no emotion.", "joy.", "anger, disgust, fear.", "love, trust."] * 25

    def say(prompt: Prompt) -> str:
        number = int(prompt.text.split("Number ")[1].split(".")[0])
        return labels[number] if prompt.task == "E-c" else canonical(prompt)

    pool = FakePool(say)
    records = [record(f"Number {n}.", n) for n in range(100)]
    outcomes = await make_analyzer(pool).process(records)
    events = [event_of(outcome) for outcome in outcomes]
    assert len(pool.asked) == 100 * 2 + 25 * 1 + 25 * 2
    assert sum(event.prompts for event in events) == len(pool.asked)
    assert events[0].emotions == ()
    assert events[0].intensity is UNSET
    assert set(events[2].intensity or {}) == {"anger", "fear"}


async def test_all_waves_of_a_batch_come_before_those_of_a_later_one() -> None:
    # Else what a batch's first wave found would queue behind everything that came since.
    pool = FakePool(lambda prompt: "anger." if prompt.task == "E-c" else canonical(prompt))
    pool.gate.clear()
    analyzer = make_analyzer(pool)
    batches = [asyncio.ensure_future(analyzer.process([record(f"Number {n}.", n)])) for n in (1, 2)]
    await reach(lambda: pool.waiting == len(batches))
    first_waves = len(pool.turns)
    pool.gate.set()
    await asyncio.gather(*batches)
    earlier, later = sorted(set(pool.turns))
    assert earlier < later
    assert pool.turns[:first_waves] == [earlier, later]
    assert sorted(pool.turns[first_waves:]) == [earlier, later]


async def test_prompts_go_out_grouped_by_question() -> None:
    pool = FakePool()
    await make_analyzer(pool, tasks=Tasks(ei_emotions="all")).process(
        [record(f"Number {n}.", n) for n in range(5)]
    )
    names = [(p.task, p.text.split("Number")[0]) for p in pool.asked]
    assert len({*names}) == sum(1 for a, b in zip(names, [None, *names], strict=False) if a != b)


async def test_all_four_intensities_can_be_asked_of_every_post_in_one_wave() -> None:
    pool = FakePool(lambda p: "neutral or no emotion." if p.task == "E-c" else canonical(p))
    event = await one(pool, tasks=Tasks(ei_emotions="all"))
    assert (len(pool.asked), pool.calls) == (6, 1)
    assert set(event.intensity or {}) == {"anger", "fear", "joy", "sadness"}


async def test_classes_can_be_asked_instead_of_derived() -> None:
    pool = FakePool()
    event = await one(pool, tasks=Tasks(v_oc="ask", ei_oc="ask", ei_emotions="all"))
    assert len(pool.asked) == 11
    assert event.derived == ()
    assert event.sentiment == Sentiment(valence=0.879, class_=3)
    assert event.intensity_class == dict.fromkeys(("anger", "fear", "joy", "sadness"), 2)


async def test_what_is_off_is_neither_asked_nor_in_the_event() -> None:
    pool = FakePool()
    event = await one(pool, tasks=Tasks(e_c=False, ei_reg=False, ei_oc="off", v_oc="off"))
    assert pool.by_task == {"V-reg": 1}
    assert event.sentiment == Sentiment(valence=0.879)
    assert (event.emotions, event.intensity, event.intensity_class) == (UNSET, UNSET, UNSET)


async def test_a_custom_tasks_result_is_under_its_name() -> None:
    stance = CustomTask(name="stance", wordings=("Which stance?",), choices=("for", "against"))
    pool = FakePool(lambda p: "against" if p.task == "stance" else canonical(p))
    event = await one(pool, custom=[stance.task()])
    assert event.custom == {"stance": "against"}


async def test_an_unreadable_answer_is_asked_once_more_in_another_wording() -> None:
    seen: Counter[str] = Counter()

    def say(prompt: Prompt) -> str:
        seen[prompt.task] += 1
        return "high" if prompt.task == "V-reg" and seen["V-reg"] == 1 else canonical(prompt)

    pool = FakePool(say)
    event = await one(pool)
    first, second = [prompt.text for prompt in pool.asked if prompt.task == "V-reg"]
    assert first != second
    assert event.sentiment == Sentiment(valence=0.879, class_=3)
    assert event.prompts == 4
    assert event.unanswered == {}


async def test_what_stays_unreadable_is_unanswered_and_the_rest_is_published() -> None:
    pool = FakePool(lambda p: "48: disgust" if p.task == "EI-reg" else canonical(p))
    event = await one(pool)
    assert pool.by_task["EI-reg"] == 2
    assert event.unanswered == {"EI-reg:joy": "not a number"}
    assert event.intensity is UNSET
    assert event.intensity_class is UNSET
    assert event.emotions == ("joy", "optimism")


async def test_without_an_answer_of_e_c_all_four_intensities_are_asked() -> None:
    pool = FakePool(lambda p: "gloom" if p.task == "E-c" else canonical(p))
    event = await one(pool)
    assert event.emotions is UNSET
    assert set(event.intensity or {}) == {"anger", "fear", "joy", "sadness"}


async def test_a_post_about_which_nothing_could_be_read_is_a_dead_letter() -> None:
    (outcome,) = await make_analyzer(FakePool(lambda _: "banana")).process([record("A text.")])
    assert isinstance(outcome, DeadLetter)
    assert (outcome.stage, outcome.class_name) == ("read", "Unanswered")
    assert "V-reg: not a number" in outcome.message
    assert outcome.attempts == 12
    assert outcome.model == "emostream-small"


@pytest.mark.parametrize("error", [Refused("inputs too long"), FailedAlone("TimedOut")])
async def test_a_post_that_servers_refuse_is_a_dead_letter_of_that_class(
    error: ModelError,
) -> None:
    (outcome,) = await make_analyzer(FakePool(lambda _: error)).process([record("A text.")])
    assert isinstance(outcome, DeadLetter)
    assert (outcome.stage, outcome.class_name) == ("infer", type(error).__name__)


async def test_a_post_refused_in_part_and_unreadable_in_part_is_unanswered() -> None:
    """One refusal among unreadable answers doesn't make it the servers' refusal."""
    pool = FakePool(lambda p: Refused("no") if p.task == "V-reg" else "banana")
    (outcome,) = await make_analyzer(pool).process([record("A text.")])
    assert isinstance(outcome, DeadLetter)
    assert (outcome.stage, outcome.class_name) == ("read", "Unanswered")


async def test_a_refusal_of_some_prompts_only_costs_their_values() -> None:
    pool = FakePool(lambda p: Refused("no") if p.task == "V-reg" else canonical(p))
    event = await one(pool)
    assert event.sentiment is UNSET
    assert list(event.unanswered) == ["V-reg"]
    assert event.intensity == {"joy": 0.6}


async def test_outcomes_are_in_the_records_order_with_dead_letters_among_them() -> None:
    records = [record("a", 0), record("", 1), record("b", 2, value=b"junk"), record("c", 3)]
    outcomes = await make_analyzer(FakePool()).process(records)
    assert [type(outcome).__name__ for outcome in outcomes] == [
        *("Emit", "DeadLetter", "DeadLetter", "Emit")
    ]
    assert event_of(outcomes[3]).post_id == "p3"


async def test_an_empty_batch_has_no_outcomes() -> None:
    pool = FakePool()
    assert await make_analyzer(pool).process([]) == []
    assert pool.calls == 0


async def test_stop_ends_the_analysis() -> None:
    def say(_: Prompt) -> str:
        raise Unauthorized("401")

    with pytest.raises(Unauthorized):
        await make_analyzer(FakePool(say)).process([record("A text.")])


# ---- asked once


async def test_equal_texts_of_a_batch_are_asked_once() -> None:
    pool = FakePool()
    outcomes = await make_analyzer(pool, cache_entries=0).process(
        [record("Same.", n) for n in range(10)]
    )
    assert len(pool.asked) == 3
    events = [event_of(outcome) for outcome in outcomes]
    assert [event.prompts for event in events] == [3] + [0] * 9
    assert [event.cached for event in events] == [False] + [True] * 9
    assert len({event.id for event in events}) == 10


async def test_what_was_answered_before_is_not_asked() -> None:
    pool = FakePool()
    analyzer = make_analyzer(pool)
    await analyzer.process([record("Same.", 1)])
    (outcome,) = await analyzer.process([record("Same.", 2)])
    assert len(pool.asked) == 3
    assert event_of(outcome).cached
    assert event_of(outcome).sentiment == Sentiment(valence=0.879, class_=3)
    assert event_of(outcome).model.server is None


async def test_another_model_is_asked_again_under_the_same_event_id() -> None:
    pool = FakePool()
    analyzer = make_analyzer(pool)
    (first,) = await analyzer.process([record("Same.", 1)])
    pool.info = msgspec.structs.replace(pool.info, model_revision="r2")
    (second,) = await analyzer.process([record("Same.", 1)])
    assert len(pool.asked) == 6
    # Which server was asked first must not decide an event's id: only what is configured does.
    assert event_of(first).id == event_of(second).id
    assert event_of(second).model.revision == "r2"


async def test_equal_texts_of_concurrent_batches_are_asked_once_without_a_cache() -> None:
    pool = FakePool()
    analyzer = make_analyzer(pool, cache_entries=0)
    pool.gate.clear()
    batches = [
        asyncio.create_task(analyzer.process([record("Same.", n), record(f"Own {n}.", n + 100)]))
        for n in range(4)
    ]
    await reach(lambda: pool.waiting == 4)
    pool.gate.set()
    outcomes = await asyncio.gather(*batches)
    assert len([p for p in pool.asked if "Same." in p.text and p.task != "EI-reg"]) == 2
    assert all(event_of(batch[0]).emotions == ("joy", "optimism") for batch in outcomes)


async def leader_and_follower(pool: FakePool) -> list[asyncio.Task[list[Outcome]]]:
    """Two batches with the same text: the first one's prompts are asked, the second waits."""
    analyzer = make_analyzer(pool)
    pool.gate.clear()
    leader = asyncio.create_task(analyzer.process([record("Same.", 1)]))
    await reach(lambda: pool.waiting == 1)
    follower = asyncio.create_task(analyzer.process([record("Same.", 2)]))
    await asyncio.sleep(0)
    return [leader, follower]


async def test_a_cancelled_leader_takes_nobody_with_it() -> None:
    pool = FakePool()
    leader, follower = await leader_and_follower(pool)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    pool.gate.set()
    (outcome,) = await follower
    assert event_of(outcome).prompts == 3


async def test_a_failed_leaders_questions_are_asked_by_who_waited() -> None:
    failures = iter([Unauthorized("401")])

    def say(prompt: Prompt) -> str:
        for failure in failures:
            raise failure
        return canonical(prompt)

    pool = FakePool(say)
    leader, follower = await leader_and_follower(pool)
    pool.gate.set()
    with pytest.raises(Unauthorized):
        await leader
    (outcome,) = await follower
    assert event_of(outcome).sentiment == Sentiment(valence=0.879, class_=3)


async def test_a_cancelled_follower_leaves_the_leader_alone() -> None:
    pool = FakePool()
    leader, follower = await leader_and_follower(pool)
    await asyncio.sleep(0)
    follower.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follower
    pool.gate.set()
    (outcome,) = await leader
    assert event_of(outcome).prompts == 3


async def test_a_refusal_is_not_remembered() -> None:
    pool = FakePool(lambda _: Refused("too long for this server"))
    analyzer = make_analyzer(pool)
    await analyzer.process([record("Same.", 1)])
    pool.say = canonical
    (outcome,) = await analyzer.process([record("Same.", 2)])
    assert isinstance(outcome, Emit)


# ---- the event


async def test_ids_are_the_same_for_the_same_record_and_differ_otherwise() -> None:
    base = record("A text.", 7)
    analyzer = make_analyzer(FakePool())
    (first,) = await analyzer.process([base])
    (again,) = await make_analyzer(FakePool()).process([base])
    (moved,) = await analyzer.process([record("A text.", 8)])
    (less,) = await make_analyzer(FakePool(), tasks=Tasks(v_oc="off")).process([base])
    ids = [event_of(outcome).id for outcome in (first, again, moved, less)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert uuid.UUID(ids[0]).version == 5


def test_the_fast_uuid_is_the_standard_librarys() -> None:
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, "urn:emostream:affect-event")
    for name in ("", "posts/0/1|m|r|V-reg", "п/2/3"):
        assert uuid5_of(name) == str(uuid.uuid5(namespace, name))


async def test_the_key_is_the_records_or_else_the_posts_id() -> None:
    outcomes = await make_analyzer(FakePool()).process(
        [record("a", 1, key=b"k"), record("b", 2), record("c", 3, key=b"")]
    )
    assert [getattr(outcome, "key", None) for outcome in outcomes] == [
        b"k",
        b"p2",
        b"",
    ]


async def test_what_the_post_says_of_itself_is_carried() -> None:
    post = {
        "source": "mastodon",
        "lang": "de",
        "url": "https://x.example",
        "topics": ["a"],
        "meta": {"n": [1, {"x": None}]},
        "created_at": "2026-01-02T03:04:05+01:00",
    }
    (outcome,) = await make_analyzer(FakePool()).process([record("Text\u200b.", 1, post=post)])
    assert isinstance(outcome, Emit)
    written = json.loads(outcome.value)
    assert written["text"] == "Text\u200b."
    assert {name: written[name] for name in post} == post


async def test_the_trace_context_is_passed_on_and_cloudevents_are_complete() -> None:
    trace = (("traceparent", b"00-a-b-01"), ("other", b"x"), ("tracestate", b"t=1"))
    (outcome,) = await make_analyzer(FakePool()).process([record("Text.", 1, headers=trace)])
    assert isinstance(outcome, Emit)
    headers = dict(outcome.headers)
    assert headers["traceparent"] == b"00-a-b-01"
    assert headers["tracestate"] == b"t=1"
    assert "other" not in headers
    assert headers["ce_id"].decode() == event_of(outcome).id
    assert headers["ce_subject"] == b"p1"


KEY = "0123456789abcdef0123456789abcdef"


async def author(key: str, name: str | None, source: str | None = None) -> str | None:
    post = {"author": name, "source": source}
    analyzer = make_analyzer(FakePool(), author_key=key)
    (outcome,) = await analyzer.process([record("Text.", 1, post=post)])
    assert isinstance(outcome, Emit)
    assert b"ann@example" not in outcome.value
    return event_of(outcome).author


async def test_authors_leave_as_keyed_hashes_only() -> None:
    first = await author(KEY, "ann@example")
    assert first is not None
    assert len(first) == 32
    assert await author(KEY, "ann@example") == first
    assert await author(KEY, "bob@example") != first
    assert await author(KEY[::-1], "ann@example") != first
    assert await author(KEY, "ann@example", "mastodon") != first
    assert await author("", "ann@example") is None
    assert await author(KEY, None) is None


async def test_one_switch_drops_the_text() -> None:
    event = await one(FakePool(), "A secret.", include_text=False)
    assert event.text is None


async def test_an_overlong_text_is_shortened_and_the_event_says_so() -> None:
    event = await one(FakePool(), "word " * 50_000)
    assert event.text_truncated
    assert event.text == "word " * 50_000


async def test_a_deeply_nested_meta_is_a_dead_letter_not_a_crash() -> None:
    for depth in (200, 400, 600, 800, 900, 950, 1_000, 2_000):
        inner = "[" * depth + "]" * depth
        value = f'{{"id": "1", "text": "x", "meta": {{"a": {inner}}}}}'.encode()
        (outcome,) = await make_analyzer(FakePool()).process([record("", value=value)])
        assert isinstance(outcome, Emit) or getattr(outcome, "class_name", "") == "TooDeep"


@pytest.mark.parametrize(
    ("error", "class_name"),
    [
        (RecursionError(), "TooDeep"),
        (Unencodable("no such field"), "Unencodable"),
        (ValueError("no such number"), "Unencodable"),
    ],
)
async def test_a_dead_letter_of_an_event_that_can_not_be_written_names_the_model(
    error: Exception, class_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def frame(_: AffectEvent) -> Encoded:
        raise error

    listing = make_analyzer(FakePool())
    monkeypatch.setattr(listing.analyzer._events, "_frame", frame)
    (outcome,) = await listing.process([record("x")])
    assert isinstance(outcome, DeadLetter)
    assert (outcome.stage, outcome.class_name) == ("publish", class_name)
    assert outcome.model == "emostream-small"


async def test_no_dead_letter_quotes_the_post() -> None:
    for say in (lambda _: "sekrit?", lambda _: Refused("too long")):
        (outcome,) = await make_analyzer(FakePool(say)).process([record("sekrit text")])
        assert isinstance(outcome, DeadLetter)
        assert "sekrit" not in outcome.message


async def test_a_repost_of_what_a_broken_server_answered_is_answered_once_it_works_again() -> None:
    broken = True
    pool = FakePool(lambda p: "banana" if broken else canonical(p))
    analyzer = make_analyzer(pool)
    (outcome,) = await analyzer.process([record("What a day!")])
    assert isinstance(outcome, DeadLetter)
    broken = False
    (outcome,) = await analyzer.process([record("What a day!", 1)])
    assert event_of(outcome).unanswered == {}
