"""Answers → values, strictly: what is not certainly the answer is `Unreadable`, never a guess.

Tolerated, because it is certainly the same answer: spaces around it, upper or lower case, one
final full stop too few or (after words) too many, a bare class digit instead of digit and label.
One misread number is dear: `48: disgust` taken for 48 turns a Pearson correlation of 0.808 into
0.075 (facts of the recorded answers), so every number is range-checked.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec
from typing_extensions import override

Value = float | int | str | tuple[str, ...]
"""What a task measures: a score, a class, a label, or a set of labels (sorted)."""

Kind = Literal["number", "class", "labels", "choice", "string"]
"""Result type: float, int, tuple of str, str, str."""

MAX_ANSWER_CHARS: Final = 1_024
"""Longer answers are unreadable unseen: the longest canonical one has 107 characters (all eleven
emotions), and a user's own regex must not be let loose on a run-on."""


class Unreadable(msgspec.Struct, frozen=True):
    """An answer without a value. Data, not an exception: one in 640 real answers is so."""

    reason: str
    """For humans and events; never holds the answer, which may quote the post."""


EMPTY: Final = Unreadable("empty answer")
TOO_LONG: Final = Unreadable("answer too long")
NOT_A_NUMBER: Final = Unreadable("not a number")
NOT_A_CLASS: Final = Unreadable("not a class of this task")
CONTRADICTION: Final = Unreadable("label does not belong to the class digit")
OTHER_EMOTION: Final = Unreadable("names another emotion than the one asked")
NOT_LABELS: Final = Unreadable("not a list of this task's labels")
REPEATED_LABEL: Final = Unreadable("the same label twice")
MIXED_NEUTRAL: Final = Unreadable("emotions and their absence at once")
NOT_A_CHOICE: Final = Unreadable("not one of the choices")
NO_MATCH: Final = Unreadable("does not match the task's grammar")
TOO_SLOW: Final = Unreadable("takes the task's grammar too long to match")


class Reader(msgspec.Struct, frozen=True):
    """The two directions between a task's values and a model's answers."""

    @property
    def kind(self) -> Kind:
        """Result type of `read`."""
        raise NotImplementedError

    def read(self, answer: str, emotion: str | None = None) -> Value | Unreadable:
        """Value of an answer. Never raises, whatever the model answered."""
        raise NotImplementedError

    def write(self, value: Value, emotion: str | None = None) -> str:
        """Return the canonical answer that reads as `value`: for fakes and small models."""
        raise NotImplementedError

    def grammar(self, emotion: str | None = None) -> str:
        """Regular expression of the canonical answers, for servers that constrain decoding."""
        raise NotImplementedError


_NUMBER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,5})(?:\.[0-9]{1,20})?")


class NumberReader(Reader, frozen=True, kw_only=True):
    """A decimal number from `minimum` to `maximum`, both included.

    No final full stop is tolerated here: `0.` may be a number whose decimals are missing. Forms
    that none of 50,050 recorded answers has (`.5`, `5e-1`, `1_000`) are refused.
    """

    minimum: float = 0.0
    maximum: float = 1.0

    @property
    @override
    def kind(self) -> Kind:
        return "number"

    @override
    def read(self, answer: str, emotion: str | None = None) -> float | Unreadable:
        text = answer.strip()
        if _NUMBER.fullmatch(text) is None:
            return NOT_A_NUMBER if text else EMPTY
        if text[0] in "+-" and self.minimum >= 0:
            return NOT_A_NUMBER if text[0] == "+" else self._out_of_range()
        value = float(text)
        return value + 0.0 if self.minimum <= value <= self.maximum else self._out_of_range()

    @override
    def write(self, value: Value, emotion: str | None = None) -> str:
        assert isinstance(value, int | float)
        return str(round(float(value), 3))

    @override
    def grammar(self, emotion: str | None = None) -> str:
        if (self.minimum, self.maximum) == (0.0, 1.0):
            return r"(0(\.[0-9]{1,3})?|1(\.0)?)"
        digits = len(str(int(max(abs(self.minimum), abs(self.maximum)))))
        sign = "-?" if self.minimum < 0 else ""
        return rf"{sign}[0-9]{{1,{digits}}}(\.[0-9]{{1,3}})?"

    def _out_of_range(self) -> Unreadable:
        return Unreadable(f"number outside {self.minimum:g} to {self.maximum:g}")


class ClassReader(Reader, frozen=True, kw_only=True):
    """An ordinal class: a digit and its label, `2: moderate amount of anger can be inferred`."""

    answers: Mapping[str | None, Mapping[str, int]]
    """Emotion (None where the task takes none) → lower-case answer without full stop → class."""
    canonical: Mapping[str | None, Mapping[int, str]]
    """Emotion → class → the answer as the models write it."""

    @property
    @override
    def kind(self) -> Kind:
        return "class"

    @override
    def read(self, answer: str, emotion: str | None = None) -> int | Unreadable:
        known = self.answers.get(emotion)
        if known is None:
            return OTHER_EMOTION
        value = known.get(answer)
        if value is not None:
            return value
        text = folded(answer)
        value = known.get(text)
        if value is not None:
            return value
        digit, colon, label = text.partition(":")
        value = known.get(f"{digit}: {label.strip()}") if colon else None
        return value if value is not None else self._why_not(text, digit, emotion)

    @override
    def write(self, value: Value, emotion: str | None = None) -> str:
        assert isinstance(value, int)
        return self.canonical[emotion][value]

    @override
    def grammar(self, emotion: str | None = None) -> str:
        return _alternatives(self.canonical[emotion].values())

    def _why_not(self, text: str, digit: str, emotion: str | None) -> Unreadable:
        if not text:
            return EMPTY
        if any(text in known for other, known in self.answers.items() if other != emotion):
            return OTHER_EMOTION
        return CONTRADICTION if digit in self.answers[emotion] and digit != text else NOT_A_CLASS


class LabelsReader(Reader, frozen=True, kw_only=True):
    """A list of labels: `joy, optimism.`, or the one phrase that says there are none."""

    labels: tuple[str, ...]
    """In lower case."""
    known: frozenset[str]
    """The same as a set."""
    none: str | None
    """Answer that means no label, in lower case; None where at least one is due."""

    @property
    @override
    def kind(self) -> Kind:
        return "labels"

    @override
    def read(self, answer: str, emotion: str | None = None) -> tuple[str, ...] | Unreadable:
        if len(answer) > MAX_ANSWER_CHARS:
            return TOO_LONG
        found = answer.removesuffix(".").split(", ")
        if not self.known.issuperset(found):
            text = folded(answer)
            if text == self.none:
                return ()
            found = [label.strip() for label in text.split(",")]
            for label in found:
                if label not in self.known:
                    return self._why_not(text, label)
        found.sort()
        return tuple(found) if len(set(found)) == len(found) else REPEATED_LABEL

    @override
    def write(self, value: Value, emotion: str | None = None) -> str:
        assert isinstance(value, tuple)
        return f"{', '.join(value) if value else self.none}."

    @override
    def grammar(self, emotion: str | None = None) -> str:
        one = _alternatives(self.labels)
        none = f"|{escape(self.none)}" if self.none else ""
        return rf"({one}(, {one})*{none})\."

    def _why_not(self, text: str, label: str) -> Unreadable:
        if not text:
            return EMPTY
        return MIXED_NEUTRAL if label == self.none else NOT_LABELS


class ChoiceReader(Reader, frozen=True, kw_only=True):
    """One of some phrases, read back as the configuration spells it."""

    choices: Mapping[str, str]
    """The phrase in lower case and without final full stop → as it is spelt."""

    @property
    @override
    def kind(self) -> Kind:
        return "choice"

    @override
    def read(self, answer: str, emotion: str | None = None) -> str | Unreadable:
        text = folded(answer)
        return self.choices.get(text) or (NOT_A_CHOICE if text else EMPTY)

    @override
    def write(self, value: Value, emotion: str | None = None) -> str:
        return self.choices[folded(str(value))]

    @override
    def grammar(self, emotion: str | None = None) -> str:
        return _alternatives(self.choices.values())


def class_reader(labels: Mapping[str | None, Mapping[int, Sequence[str]]]) -> ClassReader:
    """Build the reader of ordinal classes: emotion (or None) → class → its labels.

    The first label is the one the models write; the others mean the same. The digit alone and a
    whole label alone read as their class, too.
    """
    answers: dict[str | None, dict[str, int]] = {}
    canonical: dict[str | None, dict[int, str]] = {}
    for emotion, of_classes in labels.items():
        canonical[emotion] = {digit: f"{digit}: {names[0]}" for digit, names in of_classes.items()}
        answers[emotion] = {str(digit): digit for digit in of_classes}
        for digit, names in of_classes.items():
            for name in names:
                answers[emotion] |= {f"{digit}: {name.lower()}": digit, name.lower(): digit}
    return ClassReader(answers=answers, canonical=canonical)


def labels_reader(labels: Iterable[str], none: str | None) -> LabelsReader:
    """Build the reader of a list of labels, all in lower case, or of the phrase for none."""
    labels = tuple(labels)
    return LabelsReader(labels=labels, known=frozenset(labels), none=none)


def choice_reader(choices: Iterable[str]) -> ChoiceReader:
    """Build the reader of one choice out of several, different in lower case, too."""
    return ChoiceReader(choices={folded(choice): choice for choice in choices})


def escape(phrase: str) -> str:
    """Escape a phrase for the regex dialects of TGI, vLLM and llama.cpp (spaces stay)."""
    return re.escape(phrase).replace("\\ ", " ").replace("\\-", "-")


def folded(answer: str) -> str:
    """Give words as they are compared: lower case, no full stop, no space around them."""
    return answer.strip().lower().removesuffix(".").rstrip()


def _alternatives(phrases: Iterable[str]) -> str:
    return f"({'|'.join(escape(phrase) for phrase in phrases)})"
