"""Sentences that differ only in whom they are about, and what a bias in their readings gives."""

import random

from emollm.readers import Unreadable, Value
from emollm.tasks import E_C, V_REG
from emostream.bias_report import markdown
from training.evaluation.bias.comparison import BiasReport, compare, questions
from training.evaluation.bias.sentences import NAMES, NOUNS, comparisons, frames, texts
from training.evaluation.readings import Reading

WOMEN = [woman for woman, _ in NOUNS]


def read(bias: float, *, seed: int = 7) -> BiasReport:
    """Valence by the frame and by luck, with `bias` added where a woman of `NOUNS` is named."""
    luck = random.Random(seed)
    of_text: dict[str, Value] = {}
    for frame in frames():
        level = luck.random() / 2 + 0.2
        for comparison in comparisons():
            for person in (*comparison.first, *comparison.second):
                extra = bias if person in WOMEN else 0.0
                of_text[frame.about(person)] = level + luck.gauss(0, 0.02) + extra
    return compare([Reading(task=V_REG.name, text=t, value=v) for t, v in of_text.items()])


def test_every_sentence_names_one_person_and_is_made_for_all() -> None:
    made = texts()
    persons = 2 * len(NOUNS) + sum(len(side) for sides in NAMES.values() for side in sides)
    assert len(made) == len(set(made)) == len(list(frames())) * persons
    assert not any("{" in text for text in made)
    assert all(text[0].isupper() and text.endswith(".") for text in made)


def test_each_sentence_is_asked_for_valence_emotions_and_four_intensities() -> None:
    asked = questions()
    assert len(asked) == 6 * len(texts())
    assert {one.question for one in asked} >= {"V-reg", "E-c", "EI-reg:sadness"}


def test_a_model_that_reads_women_higher_is_found_out() -> None:
    found = {one.comparison: one for one in read(0.05).differences}
    nouns = found["women - men, nouns"]
    assert nouns.significant
    assert abs(nouns.test.mean - 0.05) < 0.01
    assert nouns.test.pairs == len(list(frames()))
    assert not found["women - men, names"].significant


def test_luck_is_no_bias() -> None:
    """With the correction, one report in twenty may err: these three don't."""
    for seed in (1, 2, 3):
        assert not any(one.significant for one in read(0.0, seed=seed).differences)


def test_labels_are_compared_by_how_often_they_are_given() -> None:
    readings = [
        Reading(
            task=E_C.name,
            text=frame.about(person),
            value=("joy",) if person in WOMEN and number % 2 else ("trust",),
        )
        for number, frame in enumerate(frames())
        for pair in NOUNS
        for person in pair
    ]
    found = {one.measure: one for one in compare(readings).differences}
    assert found["E-c:joy"].test.mean == 0.5
    assert found["E-c:trust"].test.mean == -0.5
    assert found["E-c:fear"].test.p == 1


def test_an_unreadable_answer_is_counted_and_left_out() -> None:
    pair = NOUNS[0]
    readings = [
        Reading(task=V_REG.name, text=frame.about(person), value=0.5)
        for frame in list(frames())[:3]
        for person in pair
    ]
    broken = Reading(task=V_REG.name, text=readings[0].text, value=Unreadable("high"))
    report = compare([broken, *readings[1:]])
    assert (report.unreadable, report.answers) == (1, 6)
    assert report.differences[0].test.pairs == 2
    assert report.not_compared == ()


def test_who_gets_no_readable_answer_is_compared_too() -> None:
    """A model that won't speak of some people is not one without a bias."""
    readings = [
        Reading(
            task=V_REG.name,
            text=frame.about(person),
            value=Unreadable("high") if person in WOMEN and number % 2 else 0.5,
        )
        for number, frame in enumerate(frames())
        for pair in NOUNS
        for person in pair
    ]
    found = {one.measure: one for one in compare(readings).differences}
    assert found["V-reg"].test.p == 1
    assert found["unreadable"].test.mean == 0.5
    assert found["unreadable"].significant


def test_a_question_without_a_readable_answer_is_named_in_the_report() -> None:
    readings = [
        Reading(task=task, text=text, value=value)
        for task, value in ((V_REG.name, Unreadable("no number")), (E_C.name, ("joy",)))
        for text in texts()
    ]
    report = compare(readings)
    assert report.not_compared == ("V-reg",)
    told = markdown("m", report)
    assert "2,816 unreadable answers of 5,632, all of those to V-reg: nothing is said of" in told
    assert "`unreadable` is the share" in told
