"""Tasks of the user's own."""

import re
import time
from typing import Any

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from emollm import PRESETS, CustomTask, PromptBuilder, Unreadable, Value
from emollm.custom import GrammarReader
from emollm.readers import TOO_SLOW

STANCE: dict[str, Any] = {
    "name": "stance",
    "wordings": ("Is the post for or against the law?",),
    "layout": "Task: {wording} Post: {text} Stance: ",
    "choices": ("For", "Against", "Neither"),
}
URGENCY: dict[str, Any] = {
    "name": "urgency",
    "wordings": ("How urgent is it, 0 to 10?",),
    "grammar": r"(?P<value>[0-9]{1,2})( of 10)?",
    "type": "integer",
    "minimum": 0,
    "maximum": 10,
}


@pytest.mark.parametrize(
    ("spec", "answer", "value"),
    [
        (STANCE, "For", "For"),
        (STANCE, " against. ", "Against"),
        (STANCE, "maybe", Unreadable("not one of the choices")),
        (STANCE, "", Unreadable("empty answer")),
        (URGENCY, "7", 7),
        (URGENCY, "7 of 10", 7),
        (URGENCY, "11", Unreadable("number outside 0 to 10")),
        (URGENCY, "7!", Unreadable("does not match the task's grammar")),
        (URGENCY, "7" * 5000, Unreadable("answer too long")),
        ({**STANCE, "multiple": True, "none": "none"}, "for, neither.", ("for", "neither")),
        ({**STANCE, "multiple": True, "none": "none"}, "None.", ()),
        ({**STANCE, "multiple": True, "none": "None."}, "None.", ()),
        ({**STANCE, "multiple": True, "choices": ("For .", "Not")}, "for, not.", ("for", "not")),
        ({**STANCE, "multiple": True}, "none", Unreadable("not a list of this task's labels")),
        ({**STANCE, "choices": ("0: calm", "1: angry"), "type": "integer"}, "1: angry", 1),
        ({**STANCE, "choices": ("0: calm", "1: angry"), "type": "integer"}, "1", 1),
        ({**STANCE, "choices": ("0: calm", "1: angry"), "type": "integer"}, "angry", 1),
        (
            {**STANCE, "choices": ("0: calm", "1: angry"), "type": "integer"},
            "0: angry",
            Unreadable("label does not belong to the class digit"),
        ),
        ({**STANCE, "choices": (), "grammar": "[a-z]{2}"}, "de", "de"),
        ({**URGENCY, "type": "number"}, "7", 7.0),
    ],
)
def test_an_answer_is_read_by_the_specification(
    spec: dict[str, Any], answer: str, value: Value | Unreadable
) -> None:
    """Choices, lists, classes, grammars: as strictly as the built-in tasks."""
    assert CustomTask(**spec).task().read(answer) == value


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "9 lives"}, "must start with a letter"),
        ({"name": "v-REG"}, "belongs to a built-in task"),
        ({"wordings": ()}, "at least one wording"),
        ({"wordings": (" ",)}, "none of them empty"),
        ({"wordings": ("is {text} good?",)}, "belongs in the layout"),
        ({"layout": "{text} {wording}"}, "once, then {text} once"),
        ({"layout": "{wording}"}, "once, then {text} once"),
        ({"layout": "{wording} {text} {emotion}"}, "no other placeholder"),
        ({"max_new_tokens": 0}, "1 to 1024"),
        ({"max_new_tokens": 4096}, "1 to 1024"),
        ({"choices": ()}, "either `grammar` or `choices`"),
        ({"grammar": "x"}, "either `grammar` or `choices`"),
        ({"choices": ("a", "A.")}, "different words"),
        ({"choices": ("a", " ")}, "none empty"),
        ({"none": "none"}, "needs `multiple = true`"),
        ({"multiple": True, "none": "for."}, "is not one of"),
        ({"multiple": True, "none": " ."}, "is not empty"),
        ({"multiple": True, "choices": ("a, b", "c")}, "must not hold a comma"),
        ({"type": "number"}, 'type "string" or "integer"'),
        ({"type": "integer"}, "written `2: moderate`"),
        ({"type": "integer", "choices": ("1: a", "1: b")}, "same number"),
        ({"type": "integer", "choices": ("1: a", "2: A.")}, "same words"),
        ({"type": "integer", "choices": ("01: a", "2: b")}, "written `2: moderate`"),
        ({"minimum": 0}, "need a grammar"),
        ({"choices": (), "grammar": "("}, "not a regular expression"),
        ({"choices": (), "grammar": "a*"}, "must not match an empty answer"),
        ({"choices": (), "grammar": "(?P<x>a)"}, "one group only, `value`"),
        ({"choices": (), "grammar": "a", "multiple": True}, "go with `choices`"),
        ({"choices": (), "grammar": "a", "maximum": 1}, "need a grammar and type number"),
        (
            {"choices": (), "grammar": "1", "type": "number", "minimum": 2, "maximum": 1},
            "must not be above",
        ),
    ],
)
def test_a_wrong_specification_is_refused_with_what_to_change(
    change: dict[str, Any], sentence: str
) -> None:
    """At start, with the task's name."""
    spec = CustomTask(**{**STANCE, **change})
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        spec.task()
    assert repr(spec.name) in str(refused.value)


def test_a_custom_task_is_asked_in_its_own_layout() -> None:
    """With its own wording, braces in it left alone."""
    task = CustomTask(**{**STANCE, "wordings": ('Answer as {"stance": x}.',)}).task()
    builder = PromptBuilder([task])
    prompt = builder.build(task, builder.prepare("Down with it!")).text
    assert prompt == (
        'Human: \nTask: Answer as {"stance": x}. Post: Down with it! Stance: \n\nAssistant:\n'
    )
    assert task.next_wording(0) is None


def test_a_servers_grammar_has_no_named_group() -> None:
    """Some servers' regex dialects know none."""
    grammar = CustomTask(**URGENCY).task().grammar()
    assert grammar == r"([0-9]{1,2})( of 10)?"
    assert re.fullmatch(grammar, "7 of 10")


@pytest.mark.parametrize(
    ("name", "answer", "value"),
    [
        ("V-T", "-2.3", -2.3),
        ("V-T", " +2", 2.0),
        ("V-T", "-4.5", Unreadable("number outside -4 to 4")),
        ("V-T", "-2.", Unreadable("does not match the task's grammar")),
        ("Emobank-valence", "2.8", 2.8),
        ("Emobank-arousal", "3 (somewhat excited)", 3.0),
        ("Emobank-dominance", "0.396", Unreadable("does not match the task's grammar")),
        ("Emobank-dominance", "5.1", Unreadable("number outside 1 to 5")),
        ("SST", "0.51389", 0.51389),
        ("SST", "-0.333", Unreadable("does not match the task's grammar")),
        ("SST5", "1: negative", 1),
        ("SST5", "NEUTRAL", 2),
        ("SST5", "0: negative", Unreadable("label does not belong to the class digit")),
        ("SST5", "-1: negative", Unreadable("not a class of this task")),
        ("TDT", "-1", -1),
        ("TDT", "-1: negative.", -1),
        ("TDT", "-2: very negative", Unreadable("not a class of this task")),
        ("GoEmotions", "joy, surprise.", ("joy", "surprise")),
        ("GoEmotions", "neutral.", ()),
    ],
)
def test_zero_shot_presets_read_in_their_own_range(
    name: str, answer: str, value: Value | Unreadable
) -> None:
    """Answers that real models gave."""
    assert PRESETS[name].task().read(answer) == value


@given(preset=st.sampled_from(sorted(PRESETS)), answer=st.text(max_size=30))
def test_no_answer_to_a_preset_raises(preset: str, answer: str) -> None:
    """A value or a reason."""
    value = PRESETS[preset].task().read(answer)
    assert isinstance(value, float | int | tuple | Unreadable)


@pytest.mark.parametrize("grammar", ["(0|00)*1", "(ab|a|b)*c", "(a|a)*b"])
def test_a_grammar_that_backtracks_without_end_is_refused_at_start(grammar: str) -> None:
    with pytest.raises(ValueError, match="within a repeat"):
        CustomTask(name="x", wordings=("ask",), grammar=grammar).task()


def test_a_match_that_takes_too_long_is_unreadable() -> None:
    """What the trial at start doesn't find: the event loop is not held by it."""
    reader = GrammarReader(
        pattern=regex.compile("(é|éé)*!"),
        named=False,
        type="string",
        minimum=-float("inf"),
        maximum=float("inf"),
    )
    began = time.thread_time()  # a busy machine may give us no time at all for seconds
    assert reader.read("é" * 1_000 + "!?") == TOO_SLOW
    assert time.thread_time() - began < 2.0
