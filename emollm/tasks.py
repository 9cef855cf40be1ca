"""The five tasks of the EmoLLMs, each one value object.

The names are the paper's: EI emotion intensity, V valence (sentiment), E emotions present;
`-reg` is a score, `-oc` an ordinal class, `-c` a set of labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from emollm.readers import (
    Kind,
    NumberReader,
    Reader,
    Unreadable,
    Value,
    class_reader,
    labels_reader,
)
from emollm.wordings import WORDINGS
from schemas import EMOTIONS, INTENSITY_EMOTIONS

_NUMBER_TOKENS: Final = 16
"""`max_new_tokens` for a number: twice what `-0.734` takes with one token a character; the end
token counts, too."""
_WORDS_TOKENS: Final = 48
"""`max_new_tokens` for words: canonical answers have at most 57 characters in the benchmark; a
list of eight emotions fits in every model's vocabulary."""

_AMOUNTS: Final = {0: "no", 1: "low amount of", 2: "moderate amount of", 3: "high amount of"}
_DEGREES: Final = {
    3: "very positive",
    2: "moderately positive",
    1: "slightly positive",
    0: "neutral or mixed",
    -1: "slightly negative",
    -2: "moderately negative",
    -3: "very negative",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing to ask of a post: how it is asked, and how its answer is read."""

    name: str
    """`EI-reg`, `V-oc`, … or a custom task's own."""
    wordings: tuple[str, ...]
    """All ask the same; another one is another try, for decoding is greedy."""
    layout: str
    """The instruction, with `{wording}`, `{text}` and, where it takes one, `{emotion}`."""
    reader: Reader = field(hash=False)
    max_new_tokens: int
    emotions: tuple[str, ...] = ()
    """The emotions it can be asked for, one a prompt; empty where it takes none."""

    @property
    def kind(self) -> Kind:
        """Result type, e.g. `number` (float), `class` (int) or `labels` (sorted tuple of str)."""
        return self.reader.kind

    @property
    def takes_emotion(self) -> bool:
        """Whether each prompt names one of `emotions`."""
        return bool(self.emotions)

    def key(self, emotion: str | None = None) -> str:
        """Name of one question: `V-reg`, `EI-reg:anger`; the keys of an event's `unanswered`."""
        return f"{self.name}:{emotion}" if emotion else self.name

    def frame(self, emotion: str | None = None, wording: int = 0) -> tuple[str, str]:
        """Return what comes before and after the text.

        Raises:
            ValueError: `emotion` is missing, not one of `emotions`, or given to a task without.
            IndexError: there is no such wording.
        """
        if (emotion not in self.emotions) if self.emotions else (emotion is not None):
            known = ", ".join(self.emotions) or "none"
            message = f"{self.name} can't be asked for the emotion {emotion!r} (it takes: {known})"
            raise ValueError(message)
        before, _, after = self.layout.partition("{text}")
        return self._fill(before, emotion, wording), self._fill(after, emotion, wording)

    def instruction(self, text: str, emotion: str | None = None, wording: int = 0) -> str:
        """Return the instruction around `text`, which is put in as it is (see `PromptBuilder`)."""
        before, after = self.frame(emotion, wording)
        return f"{before}{text}{after}"

    def next_wording(self, wording: int) -> int | None:
        """Return another wording to ask again in; None where there is but one."""
        return (wording + 1) % len(self.wordings) if len(self.wordings) > 1 else None

    def read(self, answer: str, emotion: str | None = None) -> Value | Unreadable:
        """Value of an answer, or why it has none. Never raises."""
        return self.reader.read(answer, emotion)

    def write(self, value: Value, emotion: str | None = None) -> str:
        """Return the canonical answer for `value`: what fakes and small models say."""
        return self.reader.write(value, emotion)

    def grammar(self, emotion: str | None = None) -> str:
        """Regular expression that a canonical answer matches in full."""
        return self.reader.grammar(emotion)

    def _fill(self, part: str, emotion: str | None, wording: int) -> str:
        part = part.replace("{emotion}", emotion or "{emotion}")
        return part.replace("{wording}", self.wordings[wording])


def _trained(
    name: str, reader: Reader, max_new_tokens: int, emotions: tuple[str, ...] = ()
) -> Task:
    source = WORDINGS[name]
    return Task(
        name=name,
        wordings=source.wordings,
        layout=source.layout,
        reader=reader,
        max_new_tokens=max_new_tokens,
        emotions=emotions,
    )


EI_REG: Final = _trained("EI-reg", NumberReader(), _NUMBER_TOKENS, INTENSITY_EMOTIONS)
"""Intensity of one emotion, 0 to 1."""
EI_OC: Final = _trained(
    "EI-oc",
    class_reader(
        {
            emotion: {n: (f"{amount} {emotion} can be inferred",) for n, amount in _AMOUNTS.items()}
            for emotion in INTENSITY_EMOTIONS
        }
    ),
    _WORDS_TOKENS,
    INTENSITY_EMOTIONS,
)
"""Class of one emotion's intensity, 0 to 3."""
V_REG: Final = _trained("V-reg", NumberReader(), _NUMBER_TOKENS)
"""Valence, 0 (most negative) to 1 (most positive)."""
V_OC: Final = _trained(
    "V-oc",
    # The instruction says "mental state", the trained answer "emotional state".
    class_reader(
        {
            None: {
                n: tuple(f"{degree} {state} state can be inferred" for state in states)
                for n, degree in _DEGREES.items()
                for states in [("emotional", "mental")]
            }
        }
    ),
    _WORDS_TOKENS,
)
"""Class of valence, -3 (very negative) to 3 (very positive)."""
E_C: Final = _trained("E-c", labels_reader(EMOTIONS, none="neutral or no emotion"), _WORDS_TOKENS)
"""Emotions present, of eleven; none of them means neutral or no emotion."""

TASKS: Final[Mapping[str, Task]] = {task.name: task for task in (EI_REG, EI_OC, V_REG, V_OC, E_C)}
"""The five trained tasks by name."""
