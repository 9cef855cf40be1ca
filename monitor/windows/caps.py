"""One author, or one text, isn't a crowd: how many of its posts count within the hour."""

from monitor.windows.distinct import hash64
from monitor.windows.recent import RecentCounts
from monitor.windows.text import repost_key

SPAN_S = 1800
"""Two generations of this: posts are remembered for half an hour to an hour."""
_KEYS = 200_000
"""Authors and texts kept per generation, over all tracks: some 40 MB."""

_AUTHOR_POSTS, _AUTHOR_SHARE = 3, 0.02
_TEXT_POSTS, _TEXT_SHARE = 5, 0.10
_LONE_TEXT_POSTS, _LONE_TEXT_SHARE = 3, 0.03


class Caps:
    """Says of each post whether it counts: by its author, and by its text.

    Within the hour an author counts with 3 posts or 2 % of the track's, whichever is more; a
    text that many authors post with 5 or 10 %. Without authors the text is all there is to go
    by: 3 or 3 %.
    """

    def __init__(self) -> None:
        self._authors: RecentCounts[tuple[str, str]] = RecentCounts(span_s=SPAN_S, limit=_KEYS)
        self._texts: RecentCounts[tuple[str, int]] = RecentCounts(span_s=SPAN_S, limit=_KEYS)
        self._posts: RecentCounts[str] = RecentCounts(span_s=SPAN_S, limit=_KEYS)

    def advance(self, event_time: float) -> None:
        """Forget what is older than an hour."""
        self._authors.advance(event_time)
        self._texts.advance(event_time)
        self._posts.advance(event_time)

    def counts(self, track: str, author: str | None, text: int | None) -> tuple[bool, bool]:
        """Return whether this post counts, and whether it is the first of its author.

        Without an author the text stands in for it; without both every post is another's.
        """
        posts = self._posts.add(track)
        within, new = True, True
        if author is not None:
            before = self._authors.add((track, author))
            new = before == 0
            within = before < _AUTHOR_POSTS or before < _AUTHOR_SHARE * posts
        if text is not None:
            before = self._texts.add((track, text))
            if author is not None:
                within = within and (before < _TEXT_POSTS or before < _TEXT_SHARE * posts)
            else:
                new = before == 0
                within = before < _LONE_TEXT_POSTS or before < _LONE_TEXT_SHARE * posts
        return within, new


def text_hash(text: str | None) -> int | None:
    """Return 64 bits that reposts of one text share; None for no text or too short a one."""
    key = repost_key(text) if text else None
    return None if key is None else hash64(key)
