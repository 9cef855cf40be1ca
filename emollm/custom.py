"""Tasks of the user's own: a wording, a layout, and a grammar or choices for the answer."""

import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec
import regex
from typing_extensions import override

from emollm.readers import (
    EMPTY,
    MAX_ANSWER_CHARS,
    NO_MATCH,
    TOO_LONG,
    TOO_SLOW,
    Kind,
    NumberReader,
    Reader,
    Unreadable,
    Value,
    choice_reader,
    class_reader,
    folded,
    labels_reader,
)
from emollm.tasks import TASKS, Task
from emollm.wordings import WORDINGS

ResultType = Literal["number", "integer", "string"]

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_CLASS: Final = re.compile(r"(0|-?[1-9][0-9]{0,3}): *(\S.*)")
_PLACEHOLDER: Final = re.compile(r"\{(\w*)\}")
_NAMED_GROUP: Final = re.compile(r"\(\?P<\w+>")
_MATCH_S: Final = 0.05
"""A match may take so long. A sound pattern takes microseconds; one that backtracks without end
would stop the event loop, and with it the consumer, for one answer."""
_PROBE_CHARS: Final = 12
"""Characters of a pattern that it is tried with, so that trying takes 12 * 13 * 0.05 s at most."""


class CustomTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the configuration says of a task; `task()` makes it askable.

    The answer is one of `choices` (or several, with `multiple`), or matches `grammar` in full.
    Choices of the form `2: moderate` with `type = "integer"` are ordinal classes.
    """

    name: str
    """Of the result in events, metrics and errors."""
    wordings: tuple[str, ...]
    """The question; more than one lets an unreadable answer be asked again."""
    layout: str = "Task: {wording} Text: {text} Answer: "
    """The whole instruction: `{wording}` once, then `{text}` once."""
    grammar: str | None = None
    """Regular expression of the answer; the value is its group `value`, else all of it."""
    type: ResultType = "string"
    """What the value is."""
    minimum: float | None = None
    """Least number allowed, included."""
    maximum: float | None = None
    """Greatest number allowed, included."""
    choices: tuple[str, ...] = ()
    multiple: bool = False
    """Whether an answer may list several choices, with commas."""
    none: str | None = None
    """With `multiple`: the answer that means none of them."""
    max_new_tokens: int = 48

    def task(self) -> Task:
        """Make the task.

        Raises:
            ValueError: the specification is wrong; the message says how to correct it.
        """
        self._check_words()
        return Task(
            name=self.name,
            wordings=self.wordings,
            layout=self.layout,
            reader=self._grammar_reader() if self._has_grammar() else self._choices_reader(),
            max_new_tokens=self.max_new_tokens,
        )

    def _check_words(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise self._error(
                "the name must start with a letter and have only letters, digits, `_`, `.`, `-`"
            )
        if self.name.lower() in {name.lower() for name in TASKS}:
            raise self._error("the name belongs to a built-in task: choose another")
        if not self.wordings or not all(wording.strip() for wording in self.wordings):
            raise self._error("give at least one wording, none of them empty")
        found = _PLACEHOLDER.findall(self.layout)
        if found != ["wording", "text"]:
            raise self._error(
                "the layout must have {wording} once, then {text} once, and no other placeholder: "
                "the text of a stranger comes last, so that the instruction can be cached"
            )
        if any("{text}" in wording for wording in self.wordings):
            raise self._error("{text} belongs in the layout, not in a wording")
        if not 1 <= self.max_new_tokens <= 1_024:
            raise self._error("max_new_tokens must be 1 to 1024, the most that TGI decodes at once")

    def _has_grammar(self) -> bool:
        if (self.grammar is None) == (not self.choices):
            raise self._error("give either `grammar` or `choices`")
        if (self.minimum is not None or self.maximum is not None) and (
            self.type == "string" or self.choices
        ):
            raise self._error("`minimum` and `maximum` need a grammar and type number or integer")
        return self.grammar is not None

    def _grammar_reader(self) -> "GrammarReader":
        assert self.grammar is not None
        if self.multiple or self.none is not None:
            raise self._error("`multiple` and `none` go with `choices`, not with `grammar`")
        try:
            pattern = regex.compile(self.grammar)
        except regex.error as error:
            raise self._error(f"`grammar` is not a regular expression: {error}") from None
        if _is_slow(pattern):
            raise self._error(
                f"`grammar` takes over {_MATCH_S * 1000:.0f} ms for an answer of {MAX_ANSWER_CHARS}"
                " characters: avoid overlapping choices within a repeat, as in (a|aa)*"
            )
        if pattern.fullmatch(""):
            raise self._error("`grammar` must not match an empty answer")
        if set(pattern.groupindex) - {"value"}:
            raise self._error("`grammar` may name one group only, `value`")
        low = -float("inf") if self.minimum is None else self.minimum
        high = float("inf") if self.maximum is None else self.maximum
        if not low <= high:
            raise self._error("`minimum` must not be above `maximum`")
        return GrammarReader(
            pattern=pattern,
            named="value" in pattern.groupindex,
            type=self.type,
            minimum=low,
            maximum=high,
        )

    def _choices_reader(self) -> Reader:
        choices = [folded(choice) for choice in self.choices]
        if not all(choices) or len(set(choices)) < len(choices):
            raise self._error("`choices` must be different words (in lower case, too), none empty")
        none = None if self.none is None else folded(self.none)
        if none is not None and (not self.multiple or not none or none in choices):
            raise self._error(
                "`none` needs `multiple = true`, is not empty, and is not one of `choices`"
            )
        if self.type == "number" or (self.type == "integer" and self.multiple):
            raise self._error('single choices are of type "string" or "integer", lists "string"')
        if self.multiple:
            if any("," in choice for choice in choices):
                raise self._error("a choice in a list must not hold a comma")
            return labels_reader(choices, none)
        if self.type == "string":
            return choice_reader(self.choices)
        classes = [_CLASS.fullmatch(choice.strip()) for choice in self.choices]
        if not all(classes):
            raise self._error('choices of type "integer" are written `2: moderate`')
        labels = {int(found[1]): found[2].removesuffix(".").rstrip() for found in classes if found}
        if len(set(map(folded, labels.values()))) < len(classes):
            raise self._error("two choices have the same number, or the same words")
        return class_reader({None: {number: (label,) for number, label in labels.items()}})

    def _error(self, message: str) -> ValueError:
        return ValueError(f"custom task {self.name!r}: {message}")


class GrammarReader(Reader, frozen=True, kw_only=True):
    """An answer that matches a regular expression in full, its value checked."""

    pattern: regex.Pattern[str]
    named: bool
    """Whether the group `value` holds the value."""
    type: ResultType
    minimum: float
    maximum: float

    @property
    @override
    def kind(self) -> Kind:
        return "class" if self.type == "integer" else self.type

    @override
    def read(self, answer: str, emotion: str | None = None) -> Value | Unreadable:
        if len(answer) > MAX_ANSWER_CHARS:
            return TOO_LONG
        text = answer.strip()
        try:
            found = self.pattern.fullmatch(text, timeout=_MATCH_S)
        except TimeoutError:
            return TOO_SLOW
        if found is None:
            return NO_MATCH if text else EMPTY
        raw: str | None = found["value"] if self.named else text
        if not raw:
            return NO_MATCH
        if self.type == "string":
            return raw
        return self._number(raw)

    @override
    def write(self, value: Value, emotion: str | None = None) -> str:
        answer = str(value)
        assert not isinstance(self.read(answer), Unreadable), "the grammar wants more than a value"
        return answer

    @override
    def grammar(self, emotion: str | None = None) -> str:
        return _NAMED_GROUP.sub("(", self.pattern.pattern)

    def _number(self, raw: str) -> float | int | Unreadable:
        read = NumberReader(minimum=self.minimum, maximum=self.maximum).read(raw)
        if isinstance(read, Unreadable) or self.type == "number":
            return read
        return int(read) if read.is_integer() and "." not in raw else NO_MATCH


def _is_slow(pattern: regex.Pattern[str]) -> bool:
    """Whether a pattern backtracks without end on long answers of characters that it names."""
    named = dict.fromkeys(char for char in f"a0 {pattern.pattern}" if char.isalnum() or char == " ")
    chars = list(named)[:_PROBE_CHARS]
    # All of the pattern at the end: the engine gives up at once where a necessary character lacks.
    end = f"{pattern.pattern}\N{SNOWMAN}"
    for unit in (
        *chars,
        *(first + second for first in chars for second in chars if first < second),
    ):
        try:
            pattern.fullmatch((unit * MAX_ANSWER_CHARS)[:MAX_ANSWER_CHARS] + end, timeout=_MATCH_S)
        except TimeoutError:
            return True
    return False


def _zero_shot(
    name: str,
    source: str,
    *,
    wording: int = 0,
    grammar: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    none: str | None = None,
) -> CustomTask:
    classes = bool(choices) and choices[0][0] in "-0123456789"
    return CustomTask(
        name=name,
        wordings=(WORDINGS[source].wordings[wording],),
        layout=WORDINGS[source].layout,
        grammar=grammar,
        type="number" if grammar else "integer" if classes else "string",
        minimum=minimum,
        maximum=maximum,
        choices=choices,
        multiple=none is not None,
        none=none,
        max_new_tokens=16 if grammar else 48,
    )


# The models like to gloss these scores, `3 (somewhat excited)`: words in brackets change nothing.
_ONE_TO_FIVE: Final = r"(?P<value>[1-5](\.[0-9]{1,3})?)( \([A-Za-z ]{1,60}\))?"

PRESETS: Final[Mapping[str, CustomTask]] = {
    preset.name: preset
    for preset in (
        _zero_shot("V-T", "V-T", grammar=r"[+-]?[0-4](\.[0-9]{1,20})?", minimum=-4, maximum=4),
        *(
            _zero_shot(
                f"Emobank-{what}",
                "Emobank",
                wording=wording,
                grammar=_ONE_TO_FIVE,
                minimum=1,
                maximum=5,
            )
            for wording, what in enumerate(("valence", "arousal", "dominance"))
        ),
        _zero_shot("SST", "SST", grammar=r"[01](\.[0-9]{1,20})?", minimum=0, maximum=1),
        _zero_shot(
            "SST5",
            "SST5",
            choices=(
                *("0: very negative", "1: negative", "2: neutral"),
                *("3: positive", "4: very positive"),
            ),
        ),
        _zero_shot("TDT", "TDT", choices=("1: positive", "0: neutral", "-1: negative")),
        _zero_shot(
            "GoEmotions",
            "GoEmotions",
            choices=("anger", "disgust", "fear", "joy", "sadness", "surprise"),
            none="neutral",
        ),
    )
}
"""The paper's zero-shot tasks, ready to be named in the configuration.

V-T valence -4 to 4; Emobank-valence, -arousal and -dominance 1 to 5; SST sentiment 0 to 1, SST5
its class 0 to 4; TDT sentiment -1 to 1; GoEmotions six basic emotions. The models were not trained
on them: on another's texts they agree less with people than the five tasks do.
"""
