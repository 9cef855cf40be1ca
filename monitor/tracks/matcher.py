"""Which tracks an event belongs to."""

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from monitor.events import Reading
from monitor.tracks.candidates import Candidates
from monitor.tracks.keywords import Keywords
from monitor.tracks.names import MAX_TAGS, OTHER, clean_name, same_name

By: TypeAlias = Literal["topics", "source", "lang"]


class TrackRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configured track: an event belongs to it where every given list has a match."""

    name: str
    topics: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    langs: tuple[str, ...] = ()
    """A tag matches its own and its variants: `en` matches `en-GB`."""
    keywords: tuple[str, ...] = ()
    """Words and phrases in the event's text (`include_text` of the consumer must be on)."""
    all: bool = False
    """Every event."""


class TrackMatcher:
    """Finds an event's tracks, by rules or automatically.

    With `by`, a topic tag, source or language is a track from its `min_posts`-th post on, under
    the spelling that came then (`#Fail` and `fail` are one). Until then, past `max_tracks`, and
    where a tag makes no name, its events count in the track `other`, and so does a post with more
    than 64 tags, of which the first 64 are looked at. Memory is bounded by `max_tracks`, the length
    of a name, and counters of a fixed size (`Candidates`), which no flood of tags can push others
    out of.
    """

    def __init__(
        self,
        rules: tuple[TrackRule, ...] = (),
        *,
        by: By | None = None,
        max_tracks: int = 100,
        min_posts: int = 10,
    ) -> None:
        """Take the rules, or what the automatic tracks are made from, or both.

        Raises:
            ValueError: two rules share a name, a rule matches nothing, or a name is unusable.
        """
        self._by = by
        self._max = max_tracks
        self._min = min_posts
        self._tests = tuple(_Test(rule) for rule in rules)
        self._fixed = frozenset(same_name(rule.name) for rule in rules)
        if len(self._fixed) != len(rules):
            raise ValueError("two tracks have the same name: rename one")
        self._keywords = Keywords({r.name: r.keywords for r in rules if r.keywords})
        self._needs_text = any(rule.keywords for rule in rules)
        self._known: dict[str, tuple[str]] = {}
        """Spellings of a track's tag to its name, as `match` returns it for one tag."""
        self._tracks: dict[str, str] = {}
        self._candidates = Candidates()
        self.refused = 0
        """Tags that counted in `other`."""

    @property
    def needs_text(self) -> bool:
        """Whether a rule looks at the text of a post."""
        return self._needs_text

    @property
    def automatic(self) -> tuple[str, ...]:
        """Tracks made from tags so far, the oldest first: hand them to `restore` after a start."""
        return tuple(self._tracks.values())

    def restore(self, automatic: Iterable[str]) -> None:
        """Make these tracks first, so that a restart doesn't give their places to others."""
        for name in automatic:
            if len(self._tracks) < self._max:
                self._tracks.setdefault(same_name(name), name)

    def release(self, name: str) -> None:
        """Give the place of an automatic track that has fallen silent to another."""
        self._tracks.pop(same_name(name), None)
        self._known.clear()

    def match(self, event: Reading) -> tuple[str, ...]:
        """Return the names of the event's tracks, each once."""
        if not self._tests and self._by is not None:
            tags = event.topics if self._by == "topics" else (self._tag(event),)
            if len(tags) == 1:
                return self._known.get(tags[0]) or self._name(tags[0])
        found = self._by_rules(event)
        if self._by == "topics":
            for tag in event.topics[:MAX_TAGS]:
                (name,) = self._known.get(tag) or self._name(tag)
                if name not in found:
                    found.append(name)
            if len(event.topics) > MAX_TAGS:
                self.refused += len(event.topics) - MAX_TAGS
                if OTHER not in found:
                    found.append(OTHER)
        elif self._by is not None:
            tag = self._tag(event)
            found += self._known.get(tag) or self._name(tag)
        return tuple(found)

    def known(self, event: Reading) -> tuple[str, ...]:
        """Return the names of the event's tracks as they are now.

        As `match`, but nothing is counted and no track made: for posts that are read once more.
        """
        found = self._by_rules(event)
        if self._by is not None:
            tags = event.topics if self._by == "topics" else (self._tag(event),)
            for tag in tags[:MAX_TAGS]:
                found.append(self._tracks.get(same_name(clean_name(tag) or ""), OTHER))
            if len(tags) > MAX_TAGS:
                found.append(OTHER)
        return tuple(dict.fromkeys(found))

    def _by_rules(self, event: Reading) -> list[str]:
        if not self._tests:
            return []
        named = self._keywords.find(event.text) if self._needs_text and event.text else set()
        return [test.name for test in self._tests if test.matches(event, named)]

    def _tag(self, event: Reading) -> str:
        return (event.source if self._by == "source" else event.lang) or ""

    def _name(self, tag: str) -> tuple[str]:
        spelling = clean_name(tag)
        if spelling is None:
            self.refused += 1
            return (OTHER,)
        key = same_name(spelling)
        name = self._tracks.get(key)
        if name is None:
            if not self._earned(key):
                self.refused += 1
                return (OTHER,)
            name = self._tracks[key] = spelling
        if len(self._known) < 4 * self._max:  # spellings of tracks, and not without end
            self._known[tag] = (name,)
        return (name,)

    def _earned(self, key: str) -> bool:
        if len(self._tracks) >= self._max or key in self._fixed or key == OTHER:
            return False
        if self._candidates.count(key) < self._min:
            return False
        self._candidates.forget(key)
        return True


class _Test:
    def __init__(self, rule: TrackRule) -> None:
        if not (rule.all or rule.topics or rule.sources or rule.langs or rule.keywords):
            raise ValueError(
                f"track {rule.name!r} matches nothing: give it topics, sources, langs, keywords "
                "or all = true"
            )
        if clean_name(rule.name) is None:
            raise ValueError(f"track {rule.name!r}: a name has 1 to 64 printable characters")
        self.name = rule.name
        self._topics = frozenset(same_name(topic) for topic in rule.topics)
        self._sources = frozenset(source.casefold() for source in rule.sources)
        self._langs = frozenset(lang.casefold() for lang in rule.langs)
        self._keywords = bool(rule.keywords)

    def matches(self, event: Reading, named: set[str]) -> bool:
        if self._keywords and self.name not in named:
            return False
        if self._topics and not any(
            same_name(tag) in self._topics for tag in event.topics[:MAX_TAGS]
        ):
            return False
        if self._sources and (event.source or "").casefold() not in self._sources:
            return False
        if self._langs:
            lang = (event.lang or "").casefold()
            return lang in self._langs or lang.split("-")[0] in self._langs
        return True
