"""Instructions are taken apart as they were put together."""

import pytest

from emollm.instructions import KNOWN_TASKS, Instruction, parse, unwrapped
from emollm.prompts import Wrapper
from emollm.tasks import EI_REG, V_REG


@pytest.mark.parametrize("name", KNOWN_TASKS)
def test_every_task_in_every_wording_is_known_again(name: str) -> None:
    task = KNOWN_TASKS[name]
    for emotion in task.emotions or (None,):
        for wording in range(len(task.wordings)):
            instruction = task.instruction("What? A Text: day.", emotion, wording)
            assert parse(instruction) == Instruction((name,), emotion, "What? A Text: day.")


def test_a_wording_of_ones_own_is_known_by_its_layout() -> None:
    asked = parse("Task: How angry is it? Tweet: Grr. Emotion E: anger. Intensity Score: ")
    assert asked == Instruction((EI_REG.name,), "anger", "Grr.")
    asked = parse("Task: Which is it? Text: Grr. Intensity Score: ")
    assert asked is not None
    assert len(asked.tasks) > 1


def test_what_no_task_asks_is_nothing() -> None:
    assert parse("Write a poem.") is None


@pytest.mark.parametrize("again", [" Tweet: ", " Text: "])
def test_a_long_instruction_that_no_task_asks_is_nothing_without_a_search_for_hours(
    again: str,
) -> None:
    assert parse(f"Task: x{again * 50_000}!") is None


@pytest.mark.parametrize("wrapper", Wrapper)
def test_a_wrapper_is_taken_off(wrapper: Wrapper) -> None:
    before, after = wrapper.value
    instruction = V_REG.instruction("Grr.")
    assert unwrapped(f"{before}{instruction}{after}") == instruction


@pytest.mark.parametrize(
    ("end", "task", "emotion"),
    [
        ("Emotion: joy\nIntensity Score:", "EI-reg", "joy"),
        ("Emotion: joy\nIntensity Class:", "EI-oc", "joy"),
        ("Intensity Score:", "V-reg", None),
        ("Intensity Class:", "V-oc", None),
        ("This text contains emotions:", "E-c", None),
    ],
)
@pytest.mark.parametrize("space", ["", " "])
def test_the_authors_readme_asks_on_several_lines(
    end: str, task: str, emotion: str | None, space: str
) -> None:
    text = "Grr.\n\nEmotion: anger, they say"
    instruction = f"Task: How is it?{space}\nText: {text}{space}\n{end}{space}"
    wrapped = f"Human:{space}\n{instruction}\n\nAssistant:"
    for prompt in (wrapped, f"{wrapped}\n"):
        assert unwrapped(prompt) == instruction
    asked = parse(instruction)
    assert asked is not None
    assert asked._replace(text=asked.text.rstrip()) == Instruction((task,), emotion, text)


@pytest.mark.parametrize(
    "prompt", ["Human: who?\n\nAssistant:", "He said: Human:\nx\n\nAssistant:", "Human:\nx"]
)
def test_what_is_no_wrapper_stays(prompt: str) -> None:
    assert unwrapped(prompt) == prompt
