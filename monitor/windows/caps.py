"""One author, or one text, isn't a crowd: how many of its posts count within the hour."""

from collections.abc import Sequence
from typing import Protocol

from monitor.events import Reading
from monitor.windows.text import repost_key

SPAN_S = 1800
"""Two generations of this, aligned to the epoch: posts are remembered for half an hour to one."""
_KEYS = 200_000
"""Authors and texts kept per generation, over all tracks: some 40 MB."""

_AUTHOR_POSTS, _AUTHOR_SHARE = 3, 0.005
_TEXT_POSTS, _TEXT_SHARE = 5, 0.10
_LONE_TEXT_POSTS, _LONE_TEXT_SHARE = 3, 0.03


class Post(Protocol):
    """What is looked at of a post."""

    @property
    def event(self) -> Reading:
        """Whose author counts."""

    @property
    def text(self) -> int | None:
        """`text_hash` of its text."""


class Caps:
    """Says of each post whether it counts: by its author, and by its text.

    Within the hour an author counts with 3 posts or 0.5 % of the track's, whichever is more; a
    text that many authors post with 5 or 10 %. Without authors the text is all there is to go
    by: 3 or 3 %. When memory is full, new authors and texts are not capped, for half an hour.
    """

    def __init__(self) -> None:
        self._tracks: dict[str, _TrackCaps] = {}
        self._generation = -1
        self._room = _KEYS

    def advance(self, event_time: float) -> None:
        """Forget what is older than an hour. Time never goes back here."""
        generation = int(event_time // SPAN_S)
        if generation > self._generation:
            follows = generation == self._generation + 1
            self._generation = generation
            for name in list(self._tracks):
                if not self._tracks[name].turn(follows=follows):
                    del self._tracks[name]
            self._room = _KEYS

    def counts(self, track: str, posts: Sequence[Post]) -> list[tuple[bool, float]]:
        """Return of each post whether it counts, and at least how many people it counts for.

        The first post of an author within the hour counts for one. Later ones count for the part
        of a person that twice the cap leaves them, so that all of one author's don't make two:
        what is counted was written by so many at least. Twice, as an hour begins in the middle of
        what is remembered. Without an author the text is used instead, and only its first post
        counts for one; without both every post is another's.
        """
        caps = self._tracks.get(track)
        if caps is None:
            caps = self._tracks[track] = _TrackCaps()
        counted = self._by_author(caps, posts)
        self._by_text(caps, posts, counted)
        caps.posts += len(posts)
        return counted

    def _by_author(self, caps: "_TrackCaps", posts: Sequence[Post]) -> list[tuple[bool, float]]:
        authors, old_authors, room = caps.authors, caps.old_authors, self._room
        counted: list[tuple[bool, float]] = []
        for number, post in enumerate(posts, start=caps.posts + caps.old_posts + 1):
            author = post.event.author
            if author is None:
                counted.append(_COUNTS)
                continue
            before = authors.get(author, 0)
            if not before:
                room -= 1
            if before or room >= 0:
                authors[author] = before + 1
            before += old_authors.get(author, 0)
            if before:
                most_posts = max(_AUTHOR_POSTS, _AUTHOR_SHARE * number)
                counted.append((before < most_posts, 0.5 / most_posts))
            else:
                counted.append(_COUNTS)
        self._room = room
        return counted

    def _by_text(
        self, caps: "_TrackCaps", posts: Sequence[Post], counted: list[tuple[bool, float]]
    ) -> None:
        texts, old_texts, room = caps.texts, caps.old_texts, self._room
        for place, post in enumerate(posts):
            text = post.text
            if text is None:
                continue
            before = texts.get(text, 0)
            if not before:
                room -= 1
            if before or room >= 0:
                texts[text] = before + 1
            before += old_texts.get(text, 0)
            if before:
                within, people = counted[place]
                most, share = _TEXT_POSTS, _TEXT_SHARE
                if post.event.author is None:
                    people, most, share = 0.0, _LONE_TEXT_POSTS, _LONE_TEXT_SHARE
                if before >= most:
                    number = caps.posts + caps.old_posts + place + 1
                    within = within and before < share * number
                counted[place] = within, people
        self._room = room


_COUNTS = True, 1.0


class _TrackCaps:
    __slots__ = ("authors", "old_authors", "old_posts", "old_texts", "posts", "texts")

    def __init__(self) -> None:
        self.posts = self.old_posts = 0
        self.authors: dict[str, int] = {}
        self.old_authors: dict[str, int] = {}
        self.texts: dict[int, int] = {}
        self.old_texts: dict[int, int] = {}

    def turn(self, *, follows: bool) -> bool:
        """Begin a generation; False where nothing is left to remember."""
        self.old_posts = self.posts if follows else 0
        self.old_authors = self.authors if follows else {}
        self.old_texts = self.texts if follows else {}
        self.posts, self.authors, self.texts = 0, {}, {}
        return self.old_posts > 0


def text_hash(text: str | None) -> int | None:
    """Return 64 bits that reposts of one text share; None for no text or too short a one.

    They are this process's own (Python's SipHash): they are compared, never kept or published.
    """
    key = repost_key(text) if text else None
    return None if key is None else hash(key)
