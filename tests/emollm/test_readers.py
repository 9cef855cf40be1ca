"""Answers are read strictly: the value, or a reason, never a guess."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emollm import E_C, EI_OC, EI_REG, EMOTIONS, TASKS, V_OC, V_REG, Task, Unreadable, Value
from emollm.readers import MAX_ANSWER_CHARS, class_reader

QUESTIONS = [(task, emotion) for task in TASKS.values() for emotion in task.emotions or (None,)]
questions = st.sampled_from(QUESTIONS)


@pytest.mark.parametrize(
    ("task", "answer", "value"),
    [
        (V_REG, "0.734", 0.734),
        (V_REG, "0.5", 0.5),
        (V_REG, "0", 0.0),
        (V_REG, "1.0", 1.0),
        (V_REG, " 0.65", 0.65),
        (V_REG, "0.65 \n", 0.65),
        (EI_OC, "2: moderate amount of anger can be inferred", 2),
        (EI_OC, " 2: Moderate amount of anger can be inferred.", 2),
        (EI_OC, "2:moderate amount of anger can be inferred", 2),
        (EI_OC, "0: no anger can be inferred", 0),
        (EI_OC, "3", 3),
        (EI_OC, "low amount of anger can be inferred", 1),
        (V_OC, "-2: moderately negative emotional state can be inferred", -2),
        (V_OC, "-2: moderately negative mental state can be inferred", -2),
        (V_OC, " 3: very positive emotional state can be inferred", 3),
        (V_OC, "-3", -3),
        (V_OC, "0: neutral or mixed emotional state can be inferred", 0),
        (E_C, "joy, optimism.", ("joy", "optimism")),
        (E_C, "joy, optimism", ("joy", "optimism")),
        (E_C, " Joy,  Optimism. ", ("joy", "optimism")),
        (E_C, "optimism, joy.", ("joy", "optimism")),
        (E_C, "anger.", ("anger",)),
        (E_C, "neutral or no emotion.", ()),
        (E_C, "Neutral or no emotion", ()),
    ],
)
def test_the_same_answer_in_another_dress_is_read(task: Task, answer: str, value: Value) -> None:
    """Spaces, case, a final full stop and a bare digit change nothing."""
    assert task.read(answer, "anger" if task.takes_emotion else None) == value


@pytest.mark.parametrize(
    ("task", "answer", "reason"),
    [
        (EI_REG, "48: disgust", "not a number"),
        (EI_REG, "0.897)", "not a number"),
        (EI_REG, "0.distribution(joy).mean 0.4", "not a number"),
        (EI_REG, "-0.196", "number outside 0 to 1"),
        (EI_REG, "high", "not a number"),
        (EI_REG, "0.情感", "not a number"),
        (EI_REG, "0.", "not a number"),
        (EI_REG, ".5", "not a number"),
        (EI_REG, "0,5", "not a number"),
        (EI_REG, "1.2", "number outside 0 to 1"),
        (EI_REG, "48", "number outside 0 to 1"),
        (EI_REG, "nan", "not a number"),
        (EI_REG, "inf", "not a number"),
        (EI_REG, "1e-1", "not a number"),
        (EI_REG, "0_1", "not a number"),
        (EI_REG, "٠.٥", "not a number"),
        (EI_REG, "−0.5", "not a number"),
        (EI_REG, "00.5", "not a number"),
        (EI_REG, "0.5 0.6", "not a number"),
        (EI_REG, "", "empty answer"),
        (EI_REG, " \n", "empty answer"),
        (EI_OC, "0: None", "label does not belong to the class digit"),
        (EI_OC, "0:1:4", "label does not belong to the class digit"),
        (EI_OC, "1: moderate amount of anger can be inferred", "label does not belong"),
        (EI_OC, "4: severe fear can be inferred", "not a class"),
        (EI_OC, "2: moderate amount of joy can be inferred", "names another emotion"),
        (EI_OC, "4", "not a class"),
        (EI_OC, "-1", "not a class"),
        (EI_OC, "2.0", "not a class"),
        (EI_OC, "high", "not a class"),
        (EI_OC, "cry", "not a class"),
        (EI_OC, "", "empty answer"),
        (V_OC, "5: extremely positive emotional state can be inferred", "not a class"),
        (V_OC, "0%: neutral or mixed emotional state can be inferred", "not a class"),
        (V_OC, "3: very positively emotional state can be inferred", "label does not belong"),
        (V_OC, "2: very positive emotional state can be inferred", "label does not belong"),
        (V_OC, "-4", "not a class"),
        (V_OC, "+2", "not a class"),
        (E_C, "1. I'm grateful for love.", "not a list"),
        (E_C, "joy, happiness.", "not a list"),
        (E_C, "joy, optimism, opti", "not a list"),
        (E_C, "joy; optimism.", "not a list"),
        (E_C, "joy,", "not a list"),
        (E_C, "joy, joy.", "the same label twice"),
        (E_C, "joy, neutral or no emotion.", "emotions and their absence"),
        (E_C, "neutral", "not a list"),
        (E_C, ".", "empty answer"),
        (E_C, "joy, " * 300, "answer too long"),
        (E_C, "I love that it is " * 12 + "joy", "not a list"),
    ],
)
def test_what_is_not_certainly_the_answer_is_unreadable(
    task: Task, answer: str, reason: str
) -> None:
    """The anomalies of real models and their kin, each refused for its own reason."""
    read = task.read(answer, "anger" if task.takes_emotion else None)
    assert isinstance(read, Unreadable)
    assert read.reason.startswith(reason)


@given(question=questions, data=st.data())
def test_what_is_written_is_read_back(
    question: tuple[Task, str | None], data: st.DataObject
) -> None:
    """Every value has a canonical answer, which matches the grammar and reads as the value."""
    task, emotion = question
    values: dict[str, st.SearchStrategy[Value]] = {
        "number": st.integers(0, 1000).map(lambda thousandths: thousandths / 1000),
        "class": st.integers(-3, 3) if task is V_OC else st.integers(0, 3),
        "labels": st.sets(st.sampled_from(EMOTIONS)).map(lambda found: tuple(sorted(found))),
    }
    value = data.draw(values[task.kind])
    answer = task.write(value, emotion)
    assert re.fullmatch(task.grammar(emotion), answer)
    assert task.read(answer, emotion) == value


pieces = st.sampled_from(
    [
        *("0", "1", ".", "-", "7", ":", " ", ",", "joy", "anger", "neutral or no emotion", "\n"),
        *("2: moderate amount of anger can be inferred", "very positive", "٣", "e", "nan", "∞"),
    ]
)
answers = st.one_of(st.text(), st.lists(pieces, max_size=8).map("".join))


@given(question=questions, answer=answers)
def test_no_answer_gives_a_value_out_of_range(
    question: tuple[Task, str | None], answer: str
) -> None:
    """Whatever is answered: a value that the task has, or a reason; never an exception."""
    task, emotion = question
    value = task.read(answer, emotion)
    if isinstance(value, Unreadable):
        assert value.reason
    elif task.kind == "number":
        assert isinstance(value, float)
        assert 0 <= value <= 1
    elif task.kind == "class":
        assert value in (range(-3, 4) if task is V_OC else range(4))
    else:
        assert isinstance(value, tuple)
        assert list(value) == sorted(set(value))
        assert set(value) <= set(EMOTIONS)


@given(answer=st.text(alphabet="0123456789.", max_size=MAX_ANSWER_CHARS))
def test_a_read_number_is_the_number_in_the_answer(answer: str) -> None:
    """Not a part of it, not a repaired one."""
    value = V_REG.read(answer)
    if isinstance(value, float):
        assert value == float(answer)


def test_the_answer_itself_is_never_part_of_the_reason() -> None:
    """An answer may quote the post, and reasons travel in events and logs."""
    for task, emotion in QUESTIONS:
        read = task.read("secret words of a stranger", emotion)
        assert isinstance(read, Unreadable)
        assert "secret" not in read.reason


def test_a_class_asked_without_its_emotion_is_unreadable() -> None:
    """The reader doesn't guess which emotion was meant."""
    assert isinstance(EI_OC.read("2: moderate amount of anger can be inferred"), Unreadable)


def test_grammars_match_only_what_is_read() -> None:
    """A server that holds to the grammar can't answer the unreadable."""
    reader = class_reader({None: {1: ("a+b",), 2: ("(c)",)}})
    assert re.fullmatch(reader.grammar(), "1: a+b")
    assert not re.fullmatch(reader.grammar(), "1: aab")
    assert reader.read("2: (c)") == 2
