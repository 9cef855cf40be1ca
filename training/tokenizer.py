"""The small model's tokenizer: full EmoLLM prompts in, about thirty ids out; answers back.

One `tokenizer.json` holds all of it, so that every engine that can read one (transformers,
tokenizers, TGI's router) asks and answers alike. What it promises:

* Each of the ten wordings of a task, bare or in the `Human:`/`Assistant:` wrapper, becomes the
  same two markers around the post. The ending alone says what is asked, so that an instruction
  in unknown words is still answered.
* A post can't reach a marker or an answer token: private-use characters are deleted first, and
  instructions are looked for at the very start and the very end of the prompt only.
* `[SEP]`, `[MASK]` and the like in a post are text, when the engine sets
  `Tokenizer.encode_special_tokens = True` (transformers: `split_special_tokens`, which the
  shipped `tokenizer_config.json` sets).
* Decoding is prefix-preserving: the text of the first n ids begins the text of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from training import vocabulary

EMOJI_PATTERN: Final = (
    "[\U0001f000-\U0001f3fa\U0001f400-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff"
    "\u203c\u2049\u2122\u2139\u2190-\u21ff\u25a0-\u25ff\u3030\u303d\u3297\u3299\u00a9\u00ae]"
)
"""One emoji or pictograph; the five skin tones are deleted before, so a person is one sign."""

COMMON_EMOJI: Final = tuple(
    chr(point)
    for first, last in (
        (0x1F600, 0x1F64F),  # faces and gestures
        (0x1F910, 0x1F92F),
        (0x1F970, 0x1F97A),
        (0x1F493, 0x1F49F),  # hearts
        (0x1F90D, 0x1F90F),
        (0x1F44A, 0x1F44F),  # hands
        (0x1FAE0, 0x1FAE8),
    )
    for point in range(first, last + 1)
)
"""Emoji of affect that are in the vocabulary whether the training data uses them or not."""

MAX_PROMPT_TOKENS: Final = 510
"""The encoder's positions: BERT's 512 less the two that BART's offset costs."""

_OPENING: Final = r"\A\s*(?:Human:\s*)?"
_CLOSING: Final = r"\s*(?:Assistant:\s*)?\z"
_ENDINGS: Final[Mapping[str, str]] = {
    "EI-reg": "Emotion E: {emotion}. Intensity Score:",
    "EI-oc": "Emotion E: {emotion}. Intensity Class:",
    "V-reg": "Intensity Score:",
    "V-oc": "Intensity Class:",
    "E-c": "This tweet contains emotions:",
}


def _pattern(text: str) -> str:
    """A regular expression for the text that takes any run of white space for a space."""
    return r"\s+".join(re.escape(word) for word in text.split())


def _instructions(wordings: Mapping[str, Sequence[str]]) -> list[normalizers.Normalizer]:
    """Replace the instruction before the post by the task's marker.

    An instruction in other words is cut out as well (up to the first `Tweet:` or `Text:`): an
    affect model of this size would read its words as the writer's.
    """
    steps: list[normalizers.Normalizer] = []
    for task, marker in vocabulary.TASK_MARKERS.items():
        known = "|".join(_pattern(wording) for wording in wordings[task])
        pattern = rf"{_OPENING}Task:\s*(?:{known})\s*Tweet:\s*"
        steps.append(normalizers.Replace(Regex(pattern), f"{marker} "))
    other = rf"{_OPENING}Task:(?m:.{{0,2000}}?)\b(?:Tweet|Text):\s*"
    steps.append(normalizers.Replace(Regex(other), ""))
    return steps


def _endings() -> list[normalizers.Normalizer]:
    r"""Replace the question after the post by its marker.

    A prompt that is known by its beginning to ask for valence is dealt with first (`\K` keeps what
    comes before out of the match): a post that ends in `Emotion E: anger.` would turn its ending
    into that of another question. No pattern begins with a run of spaces, which would take
    quadratic time in a post of many.
    """
    valence = [
        _ending(rf"\A{vocabulary.TASK_MARKERS[task]}(?m:.*)\K", task, task)
        for task in ("V-reg", "V-oc")
    ]
    others = [
        _ending("", question.partition(" ")[0], question) for question in vocabulary.QUESTIONS
    ]
    return [*valence, *others]


def _ending(before: str, task: str, question: str) -> normalizers.Normalizer:
    ending = _pattern(_ENDINGS[task].format(emotion=question.partition(" ")[2]))
    marker = vocabulary.QUESTION_MARKERS[question]
    return normalizers.Replace(Regex(f"{before}{ending}{_CLOSING}"), f" {marker}")


def _normalizer(wordings: Mapping[str, Sequence[str]]) -> normalizers.Normalizer:
    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"[\t\n\x0b\f\r\x{85}]"), " "),
            # Private use, format, control and replacement characters, variation selectors, skin
            # tones: after this step a private-use character is ours.
            normalizers.Replace(
                Regex(r"[\p{Co}\p{Cf}\p{Cc}\x{FFFD}\x{FE0E}\x{FE0F}\x{1F3FB}-\x{1F3FF}]"), ""
            ),
            *_instructions(wordings),
            *_endings(),
            normalizers.BertNormalizer(
                clean_text=False, handle_chinese_chars=True, strip_accents=True, lowercase=True
            ),
            # How tweets are written down: SemEval's files hold a line break as backslash and n.
            normalizers.Replace("\\n", " "),
            normalizers.Replace("&amp;", "&"),
            normalizers.Replace("&lt;", "<"),
            normalizers.Replace("&gt;", ">"),
            # Who is addressed and what is linked says little of affect and costs many pieces.
            normalizers.Replace(Regex(r"(?<!\w)@\w+"), "@"),
            normalizers.Replace(Regex(r"https?://\S+"), "http"),
            # "soooo" is "soo": the word's own pieces, and still not "so".
            normalizers.Replace(Regex(r"([a-z])(?=\1\1)"), ""),
        ]
    )


def build(words: Sequence[str], wordings: Mapping[str, Sequence[str]]) -> Tokenizer:
    """The tokenizer over an extended word list; `wordings` are the instructions of each task."""
    ids = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(
        models.WordPiece(vocab=ids, unk_token="[UNK]", max_input_chars_per_word=100)  # noqa: S106
    )
    tokenizer.normalizer = _normalizer(wordings)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(EMOJI_PATTERN), "isolated"),
            pre_tokenizers.BertPreTokenizer(),
        ]
    )
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"])
    )
    sign = vocabulary.ANSWER_SIGN
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.WordPiece(prefix="##", cleanup=False),
            decoders.Fuse(),
            # The first label of an E-c answer loses its comma, every answer token its sign.
            decoders.Replace(Regex(rf"\A ?{sign},{vocabulary.ANSWER_SPACE}"), ""),
            decoders.Replace(Regex(rf" ?{sign}"), ""),
            decoders.Replace(vocabulary.ANSWER_SPACE, " "),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in vocabulary.SPECIAL])
    tokenizer.encode_special_tokens = True
    return tokenizer
