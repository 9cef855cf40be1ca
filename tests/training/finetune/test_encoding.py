"""Records in tokens: what a server would make of the prompt, and an answer that is whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from emollm.instructions import parse, unwrapped
from emollm.prompts import Wrapper
from emollm.tasks import EI_REG, TASKS, V_REG
from infra.tgi.engines.tokenizer import ModelTokenizer
from tests.training.finetune import tiny
from training.finetune.encoding import Encoder, Limits
from training.finetune.errors import FinetuneError
from training.finetune.records import Record

EOS = 2
TOKENIZER = tiny.tokenizer("llama")
SERVER = ModelTokenizer(tiny.tokenizer("llama"), eos_ids=[EOS])
EVERY_ANSWER = sorted(
    {
        *(f"{n / 1000:.3f}".rstrip("0") for n in range(0, 1001, 7)),
        *(
            task.write(value, emotion)
            for task in (TASKS["EI-oc"], TASKS["V-oc"])
            for emotion in task.emotions or (None,)
            for value in (range(4) if task.emotions else range(-3, 4))
        ),
        *(TASKS["E-c"].write(labels) for labels in ((), ("joy",), ("anger", "fear", "trust"))),
    }
)


def encoder(*, together: int | None = 200, prompt: int = 200, answer: int = 198) -> Encoder:
    return Encoder(
        TOKENIZER,
        eos_id=EOS,
        wrapper=Wrapper.HUMAN,
        limits=Limits(prompt=prompt, together=together, answer=answer),
    )


def text_of(ids: object) -> str:
    return SERVER.decode(list(ids), skip_special=True)  # type: ignore[call-overload]


@pytest.mark.parametrize("text", ["a lovely day.", "</s> <s> <pad>", "so </s>Assistant:\n0.9"])
def test_a_prompt_has_the_tokens_that_the_server_gives_it(text: str) -> None:
    """Of special tokens that a post has written out none is one: EOS is the answer's alone."""
    (example,) = encoder().encode([Record(V_REG.instruction(text), "0.5")]).examples
    before, after = Wrapper.HUMAN.value
    (served,) = SERVER.encode([f"{before}{V_REG.instruction(text)}{after}"])
    assert list(example.prompt) == served.ids
    assert EOS not in example.prompt


@pytest.mark.parametrize("answer", EVERY_ANSWER)
def test_an_answer_ends_with_eos_and_decodes_to_itself(answer: str) -> None:
    (example,) = encoder().encode([Record(V_REG.instruction("a."), answer)]).examples
    assert example.answer[-1] == EOS
    assert EOS not in example.answer[:-1]
    assert text_of(example.answer[:-1]) == answer


@given(
    st.integers(min_value=1, max_value=400),
    st.integers(min_value=70, max_value=200),
    st.sampled_from(EVERY_ANSWER),
    st.booleans(),
)
def test_a_long_post_loses_words_the_question_and_the_answer_nothing(
    words: int, limit: int, answer: str, decoder_only: bool
) -> None:
    text = f"{' '.join(['rain', *['sea'] * words])}."
    instruction = EI_REG.instruction(text, "joy")
    mine = encoder(prompt=limit, together=limit if decoder_only else None)
    try:
        found = mine.encode([Record(instruction, answer)])
    except FinetuneError:
        (bare,) = SERVER.encode([instruction.replace(text, "rain.")])
        assert len(bare.ids) + 30 > limit
        return
    (example,) = found.examples
    assert text_of(example.answer[:-1]) == answer
    assert example.answer[-1] == EOS
    taken = len(example.prompt) + (len(example.answer) if decoder_only else 0)
    assert taken <= limit
    asked = parse(unwrapped(text_of(example.prompt)))
    assert asked is not None
    assert (asked.tasks, asked.emotion) == (("EI-reg",), "joy")
    kept = asked.text.removesuffix(".").split(" ")
    assert kept[0] == "rain"
    assert text.startswith(" ".join(kept))
    assert found.shortened == (asked.text != text)


def test_an_instruction_of_ones_own_is_cut_at_its_end() -> None:
    record = Record(f"Say it. {'sea ' * 300}", "0.5")
    found = encoder(prompt=60, together=60).encode([record])
    assert found.shortened == 1
    prompt = text_of(found.examples[0].prompt)
    assert prompt.startswith("Human: \nSay it. sea sea")
    assert prompt.endswith("sea\n\nAssistant:\n")


def test_what_does_not_fit_even_so_is_left_out_and_counted() -> None:
    good = Record(V_REG.instruction("a."), "0.5")
    endless = Record(V_REG.instruction("a."), "9" * 500)
    found = encoder().encode([good, endless, good])
    assert len(found.examples) == 2
    assert found.left_out == 1
    with pytest.raises(FinetuneError, match="no record fits into 200 tokens"):
        encoder().encode([endless])


def test_a_tokenizer_that_can_not_write_an_answer_is_refused() -> None:
    poor = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, "<unk>"))
    poor.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    limits = Limits(prompt=99, together=99, answer=97)
    mine = Encoder(poor, eos_id=0, wrapper=Wrapper.BARE, limits=limits)
    with pytest.raises(FinetuneError, match="can't write the answer of record 2"):
        mine.encode([Record("a", "a"), Record("a", "0.5")])


def test_progress_is_told_until_all_is_done() -> None:
    told: list[int] = []
    encoder().encode([Record("a", "0.5")] * 4_500, told.append)
    assert told == [2_000, 4_000, 4_500]
