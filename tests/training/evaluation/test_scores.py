"""From pairs of gold label and prediction to each task's metrics."""

import msgspec
import pytest

from emollm.readers import Unreadable, Value
from training.evaluation.readings import Pair, Reading, matched, shared_ids, strangers
from training.evaluation.scores import score

BAD = Unreadable("not a number")


def pair(task: str, gold: Value, value: Value | Unreadable | None, emotion: str = "") -> Pair:
    return Reading(task=task, emotion=emotion or None, value=gold), value


def test_emotions_count_alike_however_many_labels_each_has() -> None:
    anger = [pair("EI-reg", x, x, "anger") for x in (0.1, 0.2, 0.3, 0.4, 0.5)]
    joy = [pair("EI-reg", x, 1 - x, "joy") for x in (0.2, 0.8)]
    found = score([*anger, *joy])["EI-reg"]
    assert found.metrics["pearson"] == pytest.approx(0)
    assert found.emotions["anger"]["pearson"] == pytest.approx(1)
    assert found.emotions["joy"]["pearson"] == pytest.approx(-1)


def test_the_upper_half_is_scored_by_its_gold_scores() -> None:
    pairs = [pair("V-reg", g, p) for g, p in ((0.1, 0.9), (0.5, 0.2), (0.8, 0.3), (0.2, 0.8))]
    found = score(pairs)["V-reg"].metrics
    assert found["pearson_upper"] == pytest.approx(1)
    assert found["pearson"] < 0


def test_classes_are_also_scored_where_people_found_something() -> None:
    pairs = [pair("V-oc", g, p) for g, p in ((0, 3), (0, -3), (1, 1), (2, 2), (-1, -1))]
    found = score(pairs)["V-oc"].metrics
    assert found["pearson_some"] == found["kappa_some"] == pytest.approx(1)
    assert found["accuracy"] == pytest.approx(3 / 5)


def test_what_is_unreadable_or_missing_is_counted_and_left_out() -> None:
    pairs = [pair("V-reg", 0.1, 0.1), pair("V-reg", 0.9, 0.9), pair("V-reg", 0.2, BAD)]
    found = score([*pairs, pair("V-reg", 0.3, None)])["V-reg"]
    assert (found.items, found.scored, found.unreadable, found.missing) == (4, 2, 1, 1)
    assert found.metrics["pearson"] == pytest.approx(1)


def test_an_unreadable_answer_may_count_as_the_middle() -> None:
    pairs = [pair("V-reg", 0.0, BAD), pair("V-reg", 1.0, 0.6)]
    found = score(pairs, unreadable="middle")["V-reg"]
    assert (found.scored, found.unreadable) == (2, 1)
    assert found.metrics["mae"] == pytest.approx((0.5 + 0.4) / 2)
    labels = score([pair("E-c", (), BAD), pair("E-c", (), ())], unreadable="middle")["E-c"]
    assert labels.metrics["jaccard"] == 1


def test_macro_f1_is_over_all_eleven_emotions() -> None:
    found = score([pair("E-c", ("joy",), ("joy",)), pair("E-c", (), ())])["E-c"].metrics
    assert found == {"jaccard": 1, "f1_micro": 1, "f1_macro": pytest.approx(1 / 11)}


def test_one_pair_has_no_correlation() -> None:
    assert score([pair("V-reg", 0.5, 0.5)])["V-reg"].metrics == {}


def gold(task: str, value: Value, **more: str) -> Reading:
    return Reading(task=task, value=value, **more)


def test_the_id_finds_a_prediction_before_the_text() -> None:
    people = [gold("V-reg", 0.5, id="1", text="Hello")]
    model = [gold("V-reg", 0.1, text="Hello"), gold("V-reg", 0.9, id="1", text="Bye")]
    assert matched(people, model) == [(people[0], 0.9)]


def test_an_id_of_several_posts_finds_none_of_them() -> None:
    """A column `id` may be the author's: all posts were given the first one's prediction."""
    people = [gold("V-reg", n / 10, id="7", text=f"post {n}") for n in range(3)]
    model = [gold("V-reg", n / 10, id="7", text=f"post {n}") for n in reversed(range(3))]
    assert [value for _, value in matched(people, model)] == [0.0, 0.1, 0.2]
    assert not strangers(people, model)
    assert shared_ids(people) == {("V-reg", "7")}
    # Several people's labels of one post are no such thing.
    post = gold("V-reg", 0.5, id="7", text="post 0")
    assert matched([post, post], [gold("V-reg", 0.4, id="7")]) == [(post, 0.4)] * 2


def test_each_wording_of_a_question_has_the_answer_to_itself() -> None:
    first = [gold("V-reg", 0.5, text="Hello", instruction=f"wording {n}") for n in range(2)]
    second = [msgspec.structs.replace(one, id="1") for one in first]
    model = [msgspec.structs.replace(one, value=n / 10) for n, one in enumerate(first)]
    with_id = [msgspec.structs.replace(one, id="1") for one in model]
    assert [value for _, value in matched(first, model)] == [0.0, 0.1]
    assert [value for _, value in matched(second, with_id)] == [0.0, 0.1]
    # In another wording than the model was asked in, the post is still the same.
    other = [gold("V-reg", 0.5, text="Hello", instruction="wording 2")]
    assert matched(other, model) == [(other[0], 0.0)]


def test_a_text_is_found_with_the_full_stop_that_a_prompt_adds() -> None:
    people = [gold("V-reg", 0.5, id="1", text="two\nlines")]
    assert matched(people, [gold("V-reg", 0.3, text="two lines.")]) == [(people[0], 0.3)]


def test_another_emotion_or_task_is_no_prediction() -> None:
    people = [Reading(task="EI-reg", emotion="joy", value=0.5, text="x")]
    model = [
        Reading(task="EI-reg", emotion="fear", value=0.5, text="x"),
        gold("V-reg", 1, text="x"),
    ]
    assert matched(people, model) == [(people[0], None)]


def test_valence_on_another_scale_is_mapped_from_0_to_1() -> None:
    people = [gold("V-T", 2.0, text="x"), gold("Emobank-valence", 3.0, text="x")]
    model = [gold("V-reg", 0.75, text="x")]
    assert [value for _, value in matched(people, model)] == [2.0, 4.0]
    unreadable = [gold("V-T", 2.0, text="x")]
    found = matched(unreadable, [Reading(task="V-reg", value=BAD, text="x")])
    assert found == [(unreadable[0], BAD)]


def test_a_sets_own_prediction_counts_before_a_mapped_one() -> None:
    people = [gold("V-T", 2.0, text="x")]
    model = [gold("V-reg", 0.75, text="x"), gold("V-T", -1.0, text="x")]
    assert matched(people, model) == [(people[0], -1.0)]
