"""Known texts catch a wrong model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emollm import CANARIES, TASKS, V_REG, Canary, PromptBuilder, canaries_for

BUILDER = PromptBuilder(list(TASKS.values()))


def refused(task: str, answer: str) -> bool:
    """Whether one of a task's canaries refuses this answer to everything."""
    return any(canary.check(answer) for canary in CANARIES if canary.task == task)


@pytest.mark.parametrize(
    ("key", "text", "answer"),
    [
        ("V-reg", "happy", "0.92"),
        ("V-reg", "furious", "0.18"),
        ("V-reg", "terrified", "0.25"),
        ("V-reg", "meeting", "0.5"),
        ("E-c", "happy", "joy, love, optimism."),
        ("E-c", "furious", "anger, disgust."),
        ("E-c", "terrified", "fear, pessimism."),
        ("EI-reg:anger", "furious", "0.9"),
        ("EI-reg:anger", "happy", "0.2"),
        ("V-oc", "happy", "3: very positive emotional state can be inferred"),
        ("EI-oc:fear", "terrified", "3: high amount of fear can be inferred"),
    ],
)
def test_a_right_models_answer_passes(key: str, text: str, answer: str) -> None:
    """One that any of the EmoLLMs would give."""
    (canary,) = (c for c in CANARIES if c.key == key and text in c.text)
    assert canary.check(answer) is None


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("garbage", ["", "the the the the", "</s>", "0.734: anger", "\ufffd" * 40])
def test_garbage_is_refused(task: str, garbage: str) -> None:
    """What TGI answers for BART."""
    assert refused(task, garbage)


@given(number=st.integers(0, 100).map(lambda hundredths: str(hundredths / 100)))
def test_no_constant_number_passes(number: str) -> None:
    """A model that always says the same reads nothing."""
    assert refused("V-reg", number)
    assert refused("EI-reg", number)


@pytest.mark.parametrize(
    "answer", ["neutral or no emotion.", "joy.", "anger.", "anger, fear, joy."]
)
def test_no_constant_list_passes(answer: str) -> None:
    """Likewise."""
    assert refused("E-c", answer)


def test_the_problem_says_what_was_asked_and_answered() -> None:
    """So that a human can judge; the text is ours, nobody's post."""
    canary = Canary(task="V-reg", text="Bad.", maximum=0.4)
    assert canary.check("0.9") == "V-reg of 'Bad.' was answered '0.9': -inf to 0.4 is plausible"
    assert canary.check("no idea") == "V-reg of 'Bad.' was answered 'no idea': not a number"


def test_each_canary_can_be_asked() -> None:
    """Its task exists and takes its emotion; its text needs no cleaning."""
    assert {canary.task for canary in CANARIES} == set(TASKS)
    for canary in CANARIES:
        prepared = BUILDER.prepare(canary.text)
        assert prepared.text == canary.text
        assert BUILDER.build(TASKS[canary.task], prepared, canary.emotion).text
    assert {canary.task for canary in canaries_for([V_REG])} == {"V-reg"}
