"""Which posts of a stream are wanted: by language and by keyword."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from producer.live.items import KEYWORD, LANG
from schemas import Post

_WIDE = frozenset("WF")
"""East Asian widths of scripts that put no spaces between words."""


class Selection:
    """Languages as the consumer's `input.langs` takes them, and keywords; no rule: all of them."""

    def __init__(self, langs: Iterable[str] = (), keywords: Iterable[str] = ()) -> None:
        """`en` admits `en-GB`. A keyword is a word, a phrase or a #hashtag, whatever its case."""
        self._langs = frozenset(lang.lower() for lang in langs)
        words = [_pattern(word) for word in keywords if word.strip()]
        self._keywords = re.compile("|".join(words)) if words else None

    def passes_over(self, post: Post, langs: Sequence[str]) -> str | None:
        """Give the reason to leave a post out; None where it is wanted.

        `langs` are all languages that it names; one that is wanted suffices.
        """
        if self._langs and not any(self._admits(lang) for lang in langs):
            return LANG
        if self._keywords is None:
            return None
        text = _folded("\n".join((post.text, *(f"#{topic}" for topic in post.topics))))
        return None if self._keywords.search(text) else KEYWORD

    def _admits(self, lang: str) -> bool:
        lang = lang.lower()
        return lang in self._langs or lang.split("-")[0] in self._langs


def _pattern(keyword: str) -> str:
    word = " ".join(_folded(keyword).split())
    pattern = re.escape(word).replace(r"\ ", r"\s+")
    before = r"(?<!\w)" if _has_edges(word[0]) else ""
    after = r"(?!\w)" if _has_edges(word[-1]) else ""
    return f"{before}{pattern}{after}"


def _has_edges(char: str) -> bool:
    """Whether words that begin or end with it are set apart from others."""
    return unicodedata.east_asian_width(char) not in _WIDE


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
