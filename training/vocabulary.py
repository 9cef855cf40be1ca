"""The entries that the small model's vocabulary has beside BERT's WordPieces.

Every one of them holds a private-use character. The tokenizer's normalizer deletes private-use
characters before it looks at anything else, so no text, whoever wrote it, can reach them: task
markers are put in by the normalizer's own replacements, answers are written by the decoder only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from emollm.tasks import E_C, EI_OC, V_OC
from schemas import EMOTIONS as ALL_EMOTIONS
from schemas import INTENSITY_EMOTIONS

EMOTIONS: Final = INTENSITY_EMOTIONS
"""The emotions of EI-reg and EI-oc."""

LABELS: Final = ALL_EMOTIONS
"""The labels of E-c, in the order in which an answer lists them (alphabetical)."""

TASKS: Final = ("EI-reg", "EI-oc", "V-reg", "V-oc", "E-c")

_MARKER_BASE: Final = 0xE100
ANSWER_SIGN: Final = "\ue000"
"""The private-use character that begins every answer token."""

ANSWER_SPACE: Final = "\ue001"
"""Written for the space in an answer token, so that files of words keep them whole."""

TASK_MARKERS: Final[Mapping[str, str]] = {
    task: chr(_MARKER_BASE + number) for number, task in enumerate(TASKS)
}
"""What a known instruction before the post becomes: it says the task, not the emotion."""

QUESTIONS: Final = (
    *(f"{task} {emotion}" for task in ("EI-reg", "EI-oc") for emotion in EMOTIONS),
    "V-reg",
    "V-oc",
    "E-c",
)
"""The eleven things that can be asked of a post."""

QUESTION_MARKERS: Final[Mapping[str, str]] = {
    question: chr(_MARKER_BASE + len(TASKS) + number) for number, question in enumerate(QUESTIONS)
}
"""What a known ending after the post becomes: it alone says what is asked."""

LEVELS: Final = range(4)
"""EI-oc's classes."""
DEGREES: Final = range(-3, 4)
"""V-oc's classes."""
NUMBERS: Final = tuple(
    "0.0" if i == 0 else "1.0" if i == 100 else f"{i / 100:.2f}".rstrip("0") for i in range(101)
)
"""The hundredths from 0 to 1 as the EmoLLMs write them: without trailing zeros."""

INTENSITY_CLASSES: Final[Mapping[str, tuple[str, ...]]] = {
    emotion: tuple(EI_OC.write(level, emotion) for level in LEVELS) for emotion in EMOTIONS
}
"""EI-oc's four answers for each emotion, lowest class first."""

VALENCE_CLASSES: Final = tuple(V_OC.write(degree) for degree in DEGREES)
"""V-oc's seven answers, lowest class first."""

NEUTRAL: Final = E_C.write(())
SEPARATOR: Final = ", "
"""Begins each E-c label's token; the decoder deletes the one that opens an answer."""
FULL_STOP: Final = "."

ANSWERS: Final = (
    *NUMBERS,
    *(answer for emotion in EMOTIONS for answer in INTENSITY_CLASSES[emotion]),
    *VALENCE_CLASSES,
    *(SEPARATOR + label for label in LABELS),
    NEUTRAL,
    FULL_STOP,
)
"""Every piece an answer can be made of, as the decoder writes it."""

SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def answer_token(answer: str) -> str:
    """The vocabulary entry of one of `ANSWERS`."""
    return ANSWER_SIGN + answer.replace(" ", ANSWER_SPACE)


def extend(words: Sequence[str], emoji: Sequence[str]) -> list[str]:
    """BERT's word list, then the emoji, the markers and the answers: position is id."""
    known = set(words)
    return [
        *words,
        *(sign for sign in emoji if sign not in known),
        *TASK_MARKERS.values(),
        *QUESTION_MARKERS.values(),
        *(answer_token(answer) for answer in ANSWERS),
    ]
