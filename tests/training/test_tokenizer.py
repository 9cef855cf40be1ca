"""The shipped tokenizer: every known prompt is a few ids, and no post can pretend to be one."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from emollm.prompts import Wrapper
from emollm.tasks import TASKS
from training import tokenizer as recipe
from training import vocabulary, wordings

MODEL = Path(__file__).parents[2] / "infra/tgi/models/emostream-small"
TOKENIZER = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
TOKENIZER.encode_special_tokens = True  # as every engine must
IDS = TOKENIZER.get_vocab()
ANSWER_IDS = [IDS[vocabulary.answer_token(answer)] for answer in vocabulary.ANSWERS]
OURS = {*ANSWER_IDS, *(IDS[m] for m in vocabulary.TASK_MARKERS.values())} | {
    IDS[m] for m in vocabulary.QUESTION_MARKERS.values()
}

QUESTIONS = [
    (name, emotion) for name, task in TASKS.items() for emotion in task.emotions or (None,)
]
WRAPPERS = ["Human: \n{}\n\nAssistant:\n", "Human: \n{}\n\nAssistant: \n", "{}"]

questions = st.sampled_from(QUESTIONS)
posts = st.one_of(
    st.text(),
    st.text(alphabet=st.characters(categories=("Co", "Cf", "Cc", "So", "Nd", "Zs"))),
    st.lists(
        st.sampled_from(
            [
                *("[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "</s>", "Human:", "Assistant:"),
                *("Task:", "Tweet:", "Text:", " ", "\n", "\ue000", "\ue100", "\ue105", "##ing"),
                *("Emotion E: anger.", "Intensity Score:", "Intensity Class:"),
                *("This tweet contains emotions:", TASKS["V-reg"].wordings[0]),
                *("0.73", "\ue0000.73", "joy, optimism.", vocabulary.NEUTRAL),
                *vocabulary.VALENCE_CLASSES,
            ]
        )
    ).map("".join),
)


def prompt(task: str, emotion: str | None, text: str, wording: int = 0) -> str:
    before, after = Wrapper.HUMAN.value
    return f"{before}{TASKS[task].instruction(text, emotion, wording)}{after}"


def markers(task: str, emotion: str | None) -> tuple[int, int]:
    question = f"{task} {emotion}" if emotion else task
    return IDS[vocabulary.TASK_MARKERS[task]], IDS[vocabulary.QUESTION_MARKERS[question]]


def ids(text: str) -> list[int]:
    return list(TOKENIZER.encode(text).ids)


def decode(some: Sequence[int]) -> str:
    return str(TOKENIZER.decode(list(some)))


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize(("task", "emotion"), QUESTIONS)
def test_all_wordings_in_all_wrappers_ask_the_same(
    task: str, emotion: str | None, wrapper: str
) -> None:
    """Two markers around the post, between [CLS] and [SEP], with or without a final space."""
    post = list(TOKENIZER.encode("what a day!", add_special_tokens=False).ids)
    first, last = markers(task, emotion)
    expected = [IDS["[CLS]"], first, *post, last, IDS["[SEP]"]]
    for wording in range(len(TASKS[task].wordings)):
        instruction = TASKS[task].instruction("what a day!", emotion, wording)
        for form in (instruction, instruction.rstrip(), instruction.rstrip() + "  "):
            assert ids(wrapper.format(form)) == expected


@pytest.mark.parametrize(("task", "emotion"), QUESTIONS)
def test_an_instruction_in_unknown_words_is_still_understood(
    task: str, emotion: str | None
) -> None:
    """The ending alone says what is asked, and the unknown words are not read as the post's."""
    known = TASKS[task].instruction("what a day!", emotion)
    unknown = known.replace(TASKS[task].wordings[0], "Say how the writer feels about it all.")
    found = ids(unknown)
    assert found[-2] == markers(task, emotion)[1]
    assert found == [number for number in ids(known) if number != markers(task, emotion)[0]]


@given(posts, questions)
def test_no_post_reaches_a_marker_or_an_answer(text: str, question: tuple[str, str | None]) -> None:
    """Whatever a stranger writes, the question stays the one that was asked."""
    found = ids(prompt(*question, text))
    assert (found[1], found[-2]) == markers(*question)
    assert not OURS & set(found[2:-2])
    assert not {IDS[token] for token in ("[CLS]", "[SEP]", "[MASK]", "[PAD]")} & set(found[1:-1])


@given(posts)
def test_a_bare_post_reaches_no_answer(text: str) -> None:
    assert not set(ANSWER_IDS) & set(ids(text))


@given(st.lists(st.sampled_from(ANSWER_IDS), max_size=12))
def test_decoding_is_prefix_preserving(answer: list[int]) -> None:
    """What a stream has sent is never taken back."""
    whole = decode(answer)
    for length in range(len(answer)):
        assert whole.startswith(decode(answer[:length]))


def test_every_answer_is_written_as_the_emollms_write_it() -> None:
    for answer in vocabulary.ANSWERS:
        expected = answer.removeprefix(vocabulary.SEPARATOR)
        assert decode([IDS[vocabulary.answer_token(answer)]]) == expected


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        (("joy", "optimism"), "joy, optimism."),
        (("trust",), "trust."),
        ((), "neutral or no emotion."),
    ],
)
def test_labels_are_a_list_with_a_full_stop(labels: tuple[str, ...], written: str) -> None:
    pieces = [vocabulary.SEPARATOR + label for label in labels] + [vocabulary.FULL_STOP]
    if not labels:
        pieces = [vocabulary.NEUTRAL]
    answer = decode([IDS[vocabulary.answer_token(piece)] for piece in pieces])
    assert answer == written
    assert TASKS["E-c"].read(answer) == labels


def test_every_answer_is_readable() -> None:
    """The strict readers of `emollm` take each number and class this model can say."""
    for number in vocabulary.NUMBERS:
        assert TASKS["EI-reg"].read(number) == float(number)
    for emotion in vocabulary.EMOTIONS:
        for level, answer in enumerate(vocabulary.INTENSITY_CLASSES[emotion]):
            assert TASKS["EI-oc"].read(answer, emotion) == level
    for degree, answer in zip(vocabulary.DEGREES, vocabulary.VALENCE_CLASSES, strict=True):
        assert TASKS["V-oc"].read(answer) == degree


def test_emoji_are_signs_of_their_own() -> None:
    """Side by side, joined, in any skin: one known token each."""
    tokens = TOKENIZER.encode("ugh😡😡 👍🏽😭❤️", add_special_tokens=False).tokens
    assert tokens == ["u", "##gh", "😡", "😡", "👍", "😭", "❤"]


def test_a_full_prompt_costs_what_its_post_costs() -> None:
    """Four tokens more, where other models' instructions cost hundred."""
    assert len(ids(prompt("V-oc", None, "I can't wait for the weekend!"))) <= 13


@pytest.mark.parametrize("text", [" " * 50_000, "@" * 50_000, "Emotion E: " * 5_000, "a" * 50_000])
def test_no_post_takes_long(text: str) -> None:
    """A pattern that took quadratic time would run into the suite's time-out here."""
    for question in QUESTIONS:
        assert (ids(prompt(*question, text))[1]) == markers(*question)[0]


def test_the_shipped_file_is_what_the_recipe_builds() -> None:
    words = sorted(IDS, key=lambda word: IDS[word])
    built = json.loads(recipe.build(words, wordings.load()).to_str())
    assert built == json.loads((MODEL / "tokenizer.json").read_text(encoding="utf-8"))
