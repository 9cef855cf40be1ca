"""From a post to whole prompts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emollm import (
    E_C,
    EI_REG,
    TASKS,
    V_OC,
    V_REG,
    PreparedText,
    PromptBuilder,
    Wrapper,
    is_blank,
)
from emollm.prompts import benchmark_text
from emollm.shorten import estimate_tokens, instruction_tokens, shorten

ALL = list(TASKS.values())


def test_a_prompt_is_the_wrapper_the_wording_and_the_text() -> None:
    """The whole of one, letter by letter."""
    builder = PromptBuilder(ALL)
    prompt = builder.build(EI_REG, builder.prepare("What a day"), "joy", wording=9)
    assert prompt.text == (
        "Human: \nTask: Quantify the intensity of emotion E in the tweet on a scale of 0 (least E) "
        "to 1 (most E). Tweet: What a day. Emotion E: joy. Intensity Score: \n\nAssistant:\n"
    )
    assert prompt.task == "EI-reg"
    assert prompt.params.max_new_tokens == 16
    assert prompt.params.grammar is None


def test_the_bare_wrapper_is_the_instruction_alone() -> None:
    """For T5 and BART."""
    builder = PromptBuilder(ALL, wrapper=Wrapper.BARE)
    assert builder.build(V_REG, builder.prepare("Hm")).text == V_REG.instruction("Hm.")


def test_the_instruction_comes_first_and_is_constant() -> None:
    """What comes before the post depends on task and wording only: servers cache it."""
    builder = PromptBuilder(ALL)
    prompts = [
        builder.build(EI_REG, builder.prepare(text), emotion).text
        for text in ("one", "two")
        for emotion in EI_REG.emotions
    ]
    assert len({prompt.partition(" Tweet: ")[0] for prompt in prompts}) == 1


def test_grammars_travel_with_prompts_only_when_asked_for() -> None:
    """They cost a server compilation, so they are behind a switch."""
    builder = PromptBuilder(ALL, grammar=True)
    grammar = builder.build(E_C, builder.prepare("x")).params.grammar
    assert grammar is not None
    assert re.fullmatch(grammar, "joy, optimism.")


@pytest.mark.parametrize(
    ("text", "ruled"),
    [
        ("hello", "hello."),
        ("hello.", "hello."),
        ("hello!", "hello!"),
        ("hello?", "hello?"),
        ("hello ", "hello ."),
        ("hello! ", "hello! ."),
        ("a\nb", "a b."),
        ("a\n\nb :)", "a  b :)."),
        ("😀", "😀."),
        ("", "."),
    ],
)
def test_texts_follow_the_benchmarks_rule(text: str, ruled: str) -> None:
    """Newlines become spaces; a full stop is appended unless the text ends in . ! or ?"""
    assert benchmark_text(text) == ruled
    assert PromptBuilder(ALL).prepare(text) == PreparedText(ruled)


def test_a_wrong_question_is_refused() -> None:
    """An emotion that a task doesn't take, or lacks, can't be asked."""
    with pytest.raises(ValueError, match=r"EI-reg can't be asked for the emotion None"):
        EI_REG.instruction("x")
    with pytest.raises(ValueError, match=r"'trust' \(it takes: anger, fear, joy, sadness\)"):
        EI_REG.frame("trust")
    with pytest.raises(ValueError, match=r"V-reg can't be asked for the emotion 'joy'"):
        V_REG.frame("joy")


def test_the_next_wording_is_another_one() -> None:
    """Ten wordings, round and round."""
    assert V_REG.next_wording(0) == 1
    assert V_REG.next_wording(9) == 0


def test_an_event_names_a_question_by_task_and_emotion() -> None:
    """The keys of `unanswered`."""
    assert EI_REG.key("anger") == "EI-reg:anger"
    assert V_OC.key() == "V-oc"


def test_a_limit_that_leaves_no_line_for_the_post_is_refused() -> None:
    """At start, with the number that would do."""
    with pytest.raises(
        ValueError, match=r"leaves 0 tokens .* raise it to at least (\d+)"
    ) as refused:
        PromptBuilder(ALL, max_input_tokens=100)
    least = int(re.findall(r"at least (\d+)", str(refused.value))[0])
    assert PromptBuilder(ALL, max_input_tokens=least).text_tokens == 32


def test_an_overlong_text_is_shortened_at_a_word_and_marked_so() -> None:
    """Two megabytes; the instruction stays whole."""
    builder = PromptBuilder(ALL, max_input_tokens=1_000)
    prepared = builder.prepare("so much to tell " * 125_000)
    assert prepared.truncated
    assert set(prepared.text[:-1].split()) == {"so", "much", "to", "tell"}
    assert prepared.text.endswith(("so.", "much.", "to.", "tell."))
    prompt = builder.build(V_OC, prepared).text
    assert prompt.startswith(f"Human: \n{V_OC.frame()[0]}so much")
    assert prompt.endswith(". Intensity Class: \n\nAssistant:\n")
    assert estimate_tokens(prepared.text) <= builder.text_tokens + 1


@pytest.mark.parametrize(
    "unit", ["日本語", "😀", "👩‍👩‍👧‍👦", "é", "e\u0301\u0302", "\x00", "<s>", "x", "A1!"]
)
def test_two_megabytes_of_anything_fit(unit: str) -> None:
    """Without a space to cut at, and whatever has to be cleaned away."""
    builder = PromptBuilder(ALL, max_input_tokens=1_000)
    prepared = builder.prepare(unit * 500_000)
    assert prepared.truncated
    assert estimate_tokens(prepared.text) <= builder.text_tokens + 1


@pytest.mark.parametrize("character", ["\u6f22", "\N{GRINNING FACE}", "\u00e9"])
def test_a_text_of_fewer_characters_than_tokens_is_shortened_where_they_take_more(
    character: str,
) -> None:
    """A character may be four tokens: its number alone says nothing about fitting."""
    builder = PromptBuilder([V_REG], max_input_tokens=400)
    for share in (0.3, 0.5, 0.9):
        text = character * int(share * builder.text_tokens)
        prepared = builder.prepare(text)
        assert estimate_tokens(prepared.text) <= builder.text_tokens + 1  # its full stop
        assert prepared.truncated == (estimate_tokens(text) > builder.text_tokens)


def test_a_text_is_cut_between_visible_characters() -> None:
    """No half emoji, no letter without its accent."""
    family = "👩‍👩‍👧‍👦"
    for budget in range(40, 120):
        cut = shorten(family * 10, budget)
        assert cut == family * (len(cut) // len(family))
    assert shorten("e\u0301" * 20, 7) == "e\u0301" * 2


def test_a_usual_post_is_never_shortened() -> None:
    """500 characters of prose fit beside the longest instruction in the smallest context."""
    text = ("It was a long day, and I am glad to be home with you again tonight. " * 8)[:500]
    small = PromptBuilder(ALL, max_input_tokens=510, instruction_budget=16)
    for builder in (small, PromptBuilder(ALL, max_input_tokens=2_000)):
        assert not builder.prepare(text).truncated


@given(text=st.text(max_size=400), budget=st.integers(1, 300))
def test_a_shortened_text_is_a_prefix_within_its_budget(text: str, budget: int) -> None:
    """And the whole text wherever that fits."""
    cut = shorten(text, budget)
    assert text.startswith(cut)
    assert estimate_tokens(cut) <= budget
    if estimate_tokens(text) <= budget:
        assert cut == text


@given(text=st.text(max_size=200))
def test_no_text_counts_for_more_tokens_than_bytes(text: str) -> None:
    """Nor for less than half a character each."""
    assert len(text) / 2 <= estimate_tokens(text) <= len(text.encode())


def test_instructions_are_estimated_above_their_real_length() -> None:
    """Measured with BERT's WordPiece: the longest of V-oc has 134 tokens."""
    longest = max(instruction_tokens("".join(V_OC.frame(None, n))) for n in range(10))
    assert 134 < longest < 220
    assert instruction_tokens("感情") == 6


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t", "\u200b\u200d", "\x00", "\u3000", "\ufe0f", "\ufeff"]
)
def test_nothing_to_see_is_blank(text: str) -> None:
    """Nothing that a model could read."""
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", "😀", " . ", "👨‍👩‍👧", "は", "\u200bx", "٣"])
def test_something_to_see_is_not_blank(text: str) -> None:
    """Emoji alone say something."""
    assert not is_blank(text)


def test_wrappers_are_known_by_name() -> None:
    """As the configuration names them."""
    assert Wrapper.named("human") is Wrapper.HUMAN
    with pytest.raises(ValueError, match="must be `human` or `bare`"):
        Wrapper.named("chatml")
