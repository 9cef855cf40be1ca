"""A stranger's text made harmless: it may say anything, but not speak as the prompt.

Three things could let a post change a prompt's structure: a role marker or one of the prompt's own
labels (`Human:`, `Intensity Score:`), a special token of some tokenizer (`</s>`, `[INST]`), and
control characters. A space is put before the label's colon, a space behind the token's bracket,
and control characters go; all words stay. Tokenizers fold what they read: T5 compatibility forms,
and signs that nobody sees into spaces; BERT drops accents and such signs; LLaMA takes U+2581 for a
space. So a marker that only shows once folded, in either way, counts, too. Ordinary text comes
through byte for byte: what was scored in the benchmark stays comparable.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_ROLES: Final = ("human", "assistant")
"""The wrapper's roles, in whatever case."""
_PHRASES: Final = (
    *("emotion e", "intensity score", "intensity class", "sentiment score", "sentiment class"),
    "this tweet contains emotions",
)
"""The layouts' labels of several words: in whatever case, for no post has them by chance."""
_WORDS: Final = ("Task", "Tweet", "Text", "Emotion")
"""The layouts' one-word labels: only as the layouts write them, for posts do say `tweet:`."""

_TOKENS: Final = (
    r"<(?=/?(?:s|pad|unk|mask|cls|sep|bos|eos|eot|extra_id_\d+|0x[0-9a-f]{2}|(?:start|end)_of_turn"
    r"|endoftext|reserved_\w+)>|\|[^<>|\s]{1,40}\|>|</?sys>>)"
    r"|\[(?=/?(?:INST|SYS|CLS|SEP|PAD|UNK|MASK|BOS|EOS|TOOL_CALLS|unused\d+)\])"
)
_TOKEN: Final = re.compile(_TOKENS, re.IGNORECASE)

# Tabs and everything that breaks a line. Other Unicode spaces stay: the benchmark's tweets hold
# them, and they don't end a line.
_BREAK: Final = re.compile("[\t\n\x0b\x0c\r\x1c-\x1f\x85\u2028\u2029]")
# C0 controls and DEL; lone surrogates can't be encoded. C1 codes stay: in real tweets they are
# letters and quotes of Windows-1252 that someone decoded wrongly.
_CONTROL: Final = re.compile("[\x00-\x08\x0e-\x1b\x7f\ud800-\udfff]")
# What SentencePiece's `nmt_nfkc` (T5) makes a space of and Python doesn't take for one, read off
# its compiled rules; U+2581 is a space for LLaMA, too. Others delete most of these.
_UNSEEN_SPACES: Final = "\u061c\u200b\u200c\u200e\u200f\u2581\ufeff\ufffd"
_UNSEEN_SPACE: Final = re.compile(f"[{_UNSEEN_SPACES}]")
_UNSEEN: Final = frozenset({"Mn", "Me", "Cf", "Cc", "Co", "Cn"})
"""Categories that one tokenizer or another deletes: marks, format, control, private, unassigned."""
_UNUSUAL: Final = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


class Sanitizer:
    """Keeps texts from speaking as the prompt; made once for the labels of the tasks in use."""

    def __init__(self, labels: Iterable[str] = ()) -> None:
        """`labels` are those of custom layouts, without colon; the known ones are always in."""
        words = dict.fromkeys((*_WORDS, *labels))
        folded = [*_ROLES, *_PHRASES]
        hints = [label.split()[-1].lower() for label in (*folded, *words)]
        self._hints = tuple(hint for hint in hints if len(hint) > 1)
        self._initials = tuple(hint for hint in hints if len(hint) == 1)
        several = "|".join(re.escape(label).replace(r"\ ", r"\s+") for label in folded)
        single = "|".join(re.escape(label).replace(r"\ ", r"\s+") for label in words)
        self._label = re.compile(rf"((?i:{several}|\#\#\#\s*\w+)|{single})(?=:)")

    def clean(self, text: str) -> tuple[str, bool]:
        """Return the text without the power to change a prompt, and whether that changed it.

        Line breaks become spaces, which by itself counts as no change. O(len(text)); the result
        of a result is itself.
        """
        changed = False
        if not text.isprintable() and _UNUSUAL.search(text) is not None:
            plain = _CONTROL.sub("", text)
            changed = len(plain) != len(text)
            text = _BREAK.sub(" ", plain.replace("\r\n", "\n"))
        cleaned = self._neutralize(text) if text.isascii() else self._clean_folded(text)
        return (text, changed) if cleaned is text else (cleaned, True)

    def _neutralize(self, text: str) -> str:
        """Break markers and tokens; the very same object where there are none."""
        if ":" in text and ("###" in text or self._may_have_label(text.lower())):
            broken = self._label.sub(r"\1 ", text)
            text = text if len(broken) == len(text) else broken
        if ("<" in text or "[" in text) and _TOKEN.search(text) is not None:
            text = _TOKEN.sub(lambda found: f"{found[0]} ", text)
        return text

    def _may_have_label(self, lowered: str) -> bool:
        """Whether a colon follows a label's last word: what spares most texts the regex."""
        colon = lowered.find(":")
        while colon >= 0:
            if lowered.endswith(self._hints, 0, colon) or (
                # A letter by itself: many a word ends in the e of `emotion E`.
                lowered.endswith(self._initials, 0, colon)
                and not lowered[max(colon - 2, 0)].isalnum()
            ):
                return True
            colon = lowered.find(":", colon + 1)
        return False

    def _clean_folded(self, text: str) -> str:
        """Do the same for text that is not ASCII, whose markers may show only when folded."""
        text = self._neutralize(text)
        for sign in _UNSEEN_SPACES:  # a third of the time of a search for any of them
            if sign in text:
                text = self._clean_view(text, _UNSEEN_SPACE.sub(" ", text))
                return self._clean_view(text, _UNSEEN_SPACE.sub("", text))
        return self._clean_view(text, text)

    def _clean_view(self, text: str, view: str) -> str:
        """Give the text as some tokenizer views it, made harmless; itself if that shows nothing."""
        ascii_only = unicodedata.normalize("NFKD", view).encode("ascii", "ignore").decode()
        if self._neutralize(ascii_only) is ascii_only:
            return text
        folded = _fold(view)
        neutral = self._neutralize(folded)
        return text if neutral is folded else neutral


def labels_of(layout: str) -> tuple[str, ...]:
    """Labels in a layout: `Task: {wording} Post: {text} Stance: ` → Task, Post, Stance."""
    fixed = re.split(r"\{\w+\}", layout)
    found = (part.strip() for text in fixed for part in re.findall(r"([^.:\n]*):", text))
    return tuple(label for label in found if label)


def _fold(text: str) -> str:
    """Compatibility forms, without marks and invisible characters: as folding tokenizers see it."""
    decomposed = unicodedata.normalize("NFKD", text)
    kept = "".join(c for c in decomposed if unicodedata.category(c) not in _UNSEEN)
    return unicodedata.normalize("NFC", kept)
