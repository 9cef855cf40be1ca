"""The words that set an alert's posts apart: weighted log-odds with an informative prior.

Monroe, Colaresi and Quinn, "Fightin' Words", Political Analysis 16 (2008), equations 16 to 22.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import log, sqrt

from schemas.alert import Term

_LABEL = r"[^\s!-,./:-@\[-`{-~]"
"""Of a domain in any script: no space, no ASCII punctuation but the hyphen."""
_LOCAL = r"[^\s!-*,/:-@\[-^`{-~]"
"""Of an address of mail, before the `@`: a dot, `+` and `_`, too."""
# Each alternative looks back and never goes back, so that a long run of letters is looked at once.
_NOISE = re.compile(
    r"(?<![a-z0-9+-])[a-z][a-z0-9+-]*+://\S+|&\w+;"
    rf"|(?<!{_LOCAL}){_LOCAL}*+@\S+"  # handles, too
    r"|(?<![\w/])/?u/[\w-]+"  # handles on Reddit
    # With or without a path. A space that is missing after a full stop looks the same: those words
    # are lost, as no address may be shown.
    rf"|(?<!{_LABEL})(?<!\.){_LABEL}++(?:\.{_LABEL}++)++\S*"
)
_MARKED = re.compile(r"(?<!\S)[^\s.@/&]*+[.@/&]\S*")
"""What may hold such noise, from space to space: most words needn't be looked at so closely."""
_WORD = re.compile(r"#?[^\W\d_][\w'\u2019-]*", re.UNICODE)
_PRIOR = 500.0
"""Words that the prior is worth: a word must be seen several times to speak against it."""
MIN_AUTHORS = 3
_LEAST_Z = 1.96
_MOST_WORDS = 60
"""Words of one post that are looked at."""
_SAY_NOTHING = frozenset((
    "about", "after", "again", "all", "also", "and", "any", "anyone", "are", "because", "been",
    "before", "being", "but", "can", "cannot", "could", "did", "does", "don't", "even", "every",
    "everyone", "for", "from", "get", "got", "had", "has", "have", "her", "here", "him", "his",
    "how", "into", "it's", "its", "just", "like", "more", "most", "much", "never", "not", "now",
    "off", "only", "other", "our", "out", "over", "really", "same", "she", "should", "since",
    "some", "still", "such", "than", "that", "that's", "the", "their", "them", "then", "there",
    "these", "they", "this", "those", "through", "too", "very", "was", "way", "were", "what",
    "when", "where", "which", "while", "who", "why", "will", "with", "without", "would", "you",
    "your", "yours",
))  # fmt: skip
"""English function words: with few posts to compare they seem to set an alert's posts apart. Pairs
of words keep them (`not working`)."""


def terms_of(text: str) -> list[str]:
    """Return a post's words and word pairs; no handles, URLs or numbers.

    Words of two letters and fewer are left out but where a script needs no more (CJK).
    """
    folded = unicodedata.normalize("NFKC", text[:2000]).casefold()
    found = _WORD.findall(_MARKED.sub(_without_noise, folded))
    words = [w.strip("'\u2019-") for w in found[:_MOST_WORDS]]
    words = [w for w in words if w and not any(c.isdigit() for c in w)]
    pairs = [
        f"{a} {b}" for a, b in pairwise(words) if len(a) + len(b) > 6 and not {a, b} <= _SAY_NOTHING
    ]
    return [w for w in words if _says_something(w)] + pairs


def _without_noise(marked: re.Match[str]) -> str:
    return _NOISE.sub(" ", marked[0])


def _says_something(word: str) -> bool:
    return word not in _SAY_NOTHING and (len(word) > 2 or not word.isascii())


@lru_cache(maxsize=2048)
def _different_terms(text: str) -> frozenset[str]:
    """Return a post's terms, each once: an alert's next record looks at nearly the same posts."""
    return frozenset(terms_of(text))


def telling_terms(
    posts: Iterable[tuple[str, str]], usual: Iterable[str], *, most: int = 8
) -> tuple[Term, ...]:
    """Return the terms that set `posts` apart from the `usual` texts, the strongest first.

    `posts` are pairs of who wrote it and the text; a term is used by at least three of them. A
    post counts a term once. The z-score is above 1.96.
    """
    counts: Counter[str] = Counter()
    people: dict[str, set[str]] = {}
    for author, text in posts:
        for term in _different_terms(text):
            counts[term] += 1
            people.setdefault(term, set()).add(author)
    before: Counter[str] = Counter()
    for text in usual:
        before.update(_different_terms(text))
    scored = [
        Term(term=term, posts=counts[term], authors=len(people[term]), log_odds=round(z, 2))
        for term, z in _log_odds(counts, before)
        if z >= _LEAST_Z and len(people[term]) >= MIN_AUTHORS
    ]
    scored.sort(key=lambda term: (-term.log_odds, term.term))
    return tuple(_without_parts(scored, most))


def _log_odds(counts: Counter[str], before: Counter[str]) -> Iterable[tuple[str, float]]:
    total, total_before = sum(counts.values()), sum(before.values())
    both = total + total_before
    for term, seen in counts.items():
        prior = _PRIOR * (seen + before[term]) / both
        here = (seen + prior) / max(1e-9, total + _PRIOR - seen - prior)
        there = (before[term] + prior) / max(1e-9, total_before + _PRIOR - before[term] - prior)
        yield term, (log(here) - log(there)) / sqrt(1 / (seen + prior) + 1 / (before[term] + prior))


def _without_parts(scored: Sequence[Term], most: int) -> list[Term]:
    """A word that is a part of a pair before it, used as often, says nothing more."""
    kept: list[Term] = []
    for term in scored:
        if len(kept) == most:
            break
        words = set(term.term.split())
        if not any(words & set(other.term.split()) for other in kept):
            kept.append(term)
    return kept
