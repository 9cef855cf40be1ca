"""From a post's text to whole prompts, byte for byte as the EmoLLMs were benchmarked."""

from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

from emollm.protocol import GenerateParams, Prompt
from emollm.sanitize import Sanitizer, labels_of
from emollm.shorten import MAX_CHARS_PER_TOKEN, instruction_tokens, shorten
from emollm.tasks import Task

_LEAST_TEXT_TOKENS: Final = 32
"""Less room than this for the post (a line of it) is a wrong setting, not a limit to live with."""

_SPARE_CHARS: Final = 4_096
"""How many characters that count for nothing (controls) are looked past in an overlong text."""


class Wrapper(Enum):
    """What surrounds an instruction; (before, after)."""

    HUMAN = ("Human: \n", "\n\nAssistant:\n")
    """The authors' for their LLaMA, OPT and BLOOM models."""
    BARE = ("", "")
    """For the encoder-decoders, T5 and BART."""

    @classmethod
    def named(cls, name: str) -> "Wrapper":
        """Return `human` or `bare`; raises ValueError for another name."""
        try:
            return cls[name.upper()]
        except KeyError:
            raise ValueError(f"wrapper {name!r}: must be `human` or `bare`") from None


class PreparedText(msgspec.Struct, frozen=True):
    """A post's text as the model will see it."""

    text: str
    truncated: bool = False
    """Words at its end had to go."""
    sanitized: bool = False
    """Something in it would have spoken as the prompt (see `emollm.sanitize`)."""


def benchmark_text(text: str) -> str:
    """Return a text by the benchmark's rule: newlines to spaces, a full stop unless it ends so."""
    text = text.replace("\n", " ")
    return text if text.endswith((".", "!", "?")) else f"{text}."


def is_blank(text: str) -> bool:
    """Whether nothing in a text can be seen: empty, or only spaces, controls and joiners."""
    if text.isprintable() and text.strip(" \ufe0f"):
        return False
    return not any(c.isprintable() and not c.isspace() and c != "\ufe0f" for c in text)


class PromptBuilder:
    """Builds the prompts of some tasks for one model.

    Overlong posts are shortened so that the longest of the tasks still fits: all tasks of a post
    see the same text. The instruction is never shortened.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        wrapper: Wrapper = Wrapper.HUMAN,
        max_input_tokens: int = 2_000,
        grammar: bool = False,
        instruction_budget: int | None = None,
    ) -> None:
        """Compute everything that does not depend on a post.

        Args:
            tasks: those that may be built.
            wrapper: the model's.
            max_input_tokens: of the whole prompt, by the model's and the server's limits.
            grammar: whether prompts carry their task's answer grammar.
            instruction_budget: tokens of the longest instruction, wrapper included, where known;
                else estimated on the safe side.

        Raises:
            ValueError: less than a line is left for the post.
        """
        self._frames: dict[tuple[str, str | None, int], tuple[str, str, GenerateParams]] = {}
        before_all, after_all = wrapper.value
        longest = 0
        for task in tasks:
            for emotion in task.emotions or (None,):
                params = GenerateParams(
                    max_new_tokens=task.max_new_tokens,
                    grammar=task.grammar(emotion) if grammar else None,
                )
                for wording in range(len(task.wordings)):
                    before, after = task.frame(emotion, wording)
                    before, after = f"{before_all}{before}", f"{after}{after_all}"
                    longest = max(longest, instruction_tokens(before + after))
                    self._frames[task.name, emotion, wording] = (before, after, params)
        taken = longest if instruction_budget is None else instruction_budget
        # One for the full stop that may be appended, two for begin and end tokens.
        self._text_tokens = max_input_tokens - taken - 3
        if self._text_tokens < _LEAST_TEXT_TOKENS:
            raise ValueError(
                f"max_input_tokens={max_input_tokens} leaves {max(self._text_tokens, 0)} tokens "
                f"for the post beside an instruction of {taken}: raise it to at least "
                f"{taken + 3 + _LEAST_TEXT_TOKENS}, or shorten the wordings"
            )
        self._max_chars = self._text_tokens * MAX_CHARS_PER_TOKEN + _SPARE_CHARS
        self._sanitizer = Sanitizer(label for task in tasks for label in labels_of(task.layout))

    @property
    def text_tokens(self) -> int:
        """Tokens (estimated) that a post's text may have."""
        return self._text_tokens

    def prepare(self, text: str) -> PreparedText:
        """Make a stranger's text ready for every task: sanitized, shortened, full stop.

        Once a post, for all its prompts. O(1) in the length of an overlong text.
        """
        truncated = len(text) > self._max_chars
        if truncated:
            text = text[: self._max_chars]
        text, sanitized = self._sanitizer.clean(text)
        if len(text) * 4 > self._text_tokens:
            shortened = shorten(text, self._text_tokens)
            truncated = truncated or len(shortened) < len(text)
            text = shortened
        if not text.endswith((".", "!", "?")):
            text += "."
        return PreparedText(text, truncated, sanitized)

    def build(
        self, task: Task, prepared: PreparedText, emotion: str | None = None, wording: int = 0
    ) -> Prompt:
        """Return a whole prompt. Raises KeyError for a task, emotion or wording not known here."""
        before, after, params = self._frames[task.name, emotion, wording]
        text = prepared.text
        return Prompt(
            text=f"{before}{text}{after}",
            params=params,
            task=task.name,
            post=text,
            instruction=before,
        )
