"""A stranger's text stays text: token by token, in each model family's layout."""

import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emollm import sanitize
from tests.hostile.attacks import ATTACKS
from tests.hostile.draws import HypothesisDraws, RandomDraws
from tests.hostile.layouts import layouts
from tests.hostile.structure import Family
from tests.hostile.texts import text

NAMES = ("Emollama", "Emoopt", "Emobloom", "Emot5", "Emobart", "emostream-small")


@pytest.fixture(scope="module")
def families() -> dict[str, Family]:
    return {layout.models: Family(layout) for layout in layouts()}


def test_there_are_two_hundred_different_attacks() -> None:
    assert len({attack.text for attack in ATTACKS}) == len(ATTACKS) == 200


@pytest.mark.parametrize("name", NAMES)
def test_no_attack_changes_a_token_of_the_prompt_around_it(
    families: dict[str, Family], name: str
) -> None:
    """Nor does it put a special token, a label or a role between them."""
    found = {attack: families[name].broken(attack.text) for attack in ATTACKS}
    assert {attack: broken for attack, broken in found.items() if broken} == {}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "emostream-small"])
def test_without_the_sanitizer_they_would(families: dict[str, Family], name: str) -> None:
    broken = [one for one in ATTACKS if families[name].broken(one.text, sanitized=False)]
    assert len(broken) > 80


@pytest.mark.parametrize("name", NAMES)
def test_nor_does_any_text_that_is_drawn_at_random(families: dict[str, Family], name: str) -> None:
    draws = RandomDraws(random.Random(7))
    for _ in range(200):
        post = text(draws, "x")
        assert families[name].broken(post[:600]) is None, ascii(post)


@settings(max_examples=40)
@given(data=st.data())
def test_nor_any_that_hypothesis_finds(families: dict[str, Family], data: st.DataObject) -> None:
    post = text(HypothesisDraws(data), "x")[:600]
    for family in families.values():
        assert family.broken(post) is None, ascii(post)


def test_what_t5_folds_into_spaces_or_nothing_the_sanitizer_looks_through() -> None:
    """Held against SentencePiece's own compiled rules."""
    normalizer = next(one for one in layouts() if one.models == "Emot5").tokenizer.normalizer
    for point in (*range(1, 0xD800), *range(0xE000, 0x10000), 0xE0001, 0x1F3FB):
        sign = chr(point)
        folded = normalizer.normalize_str(f"a{sign}b")
        if folded == "a b":
            looked_through = sanitize._UNSEEN_SPACE.match(sign) or sign.isspace()
            assert looked_through or unicodedata.normalize("NFKD", sign) == " ", hex(point)
        elif folded == "ab":
            gone = unicodedata.category(sign) in sanitize._UNSEEN
            assert gone or sanitize._BREAK.match(sign), hex(point)
