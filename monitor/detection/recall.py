"""The last hour's posts of a track, for what an alert says about them; in bounded memory."""

from collections import deque
from typing import NamedTuple
from zlib import crc32

from monitor.events import Reading
from monitor.windows.panes import SPIKE_EMOTIONS, Entry
from monitor.windows.valence import NEGATIVE_BELOW

HOUR_S = 3600
_MOST_POSTS = 2000
"""Posts of one track that are kept: at 16 a minute an hour and more."""
_ALL_POSTS = 100_000
"""Posts that are kept of all tracks together: some 100 MB."""
_USUAL_TEXTS = 400
_ALL_USUAL_TEXTS = 40_000
_TEXT = 500
"""Characters of a text that are kept."""


class Kept(NamedTuple):
    """What is kept of one post."""

    time: float
    id: str
    author: str | None
    source: str | None
    lang: str | None
    valence: float | None
    emotions: tuple[str, ...] | None
    text: str | None


def kept(time: float, event: Reading, *, texts: bool) -> Kept:
    """Return what is kept of an event."""
    return Kept(
        time,
        event.id,
        event.author,
        event.source,
        event.lang,
        event.sentiment.valence if event.sentiment else None,
        event.emotions,
        event.text[:_TEXT] if texts and event.text else None,
    )


class Recall:
    """One track's posts of the last hour, and a sample of its earlier texts."""

    def __init__(self) -> None:
        self._posts: deque[Kept] = deque()
        self._usual: dict[int, str] = {}
        self.emotions: dict[str, float] = {}
        """Posts by emotion, fading over a day: the usual mix."""
        self.labelled = 0.0
        self.late: deque[float] = deque(maxlen=_MOST_POSTS)
        """Event times of events that came too late."""

    def add(self, entries: list[Entry], *, tracks: int, texts: bool) -> None:
        """Take a closed pane's posts. `tracks` is how many share the memory."""
        room = max(50, min(_MOST_POSTS, _ALL_POSTS // max(1, tracks)))
        for entry in entries:
            self._posts.append(kept(entry.time, entry.event, texts=texts))
        oldest = entries[-1].time - HOUR_S
        while self._posts and (self._posts[0].time < oldest or len(self._posts) > room):
            self._settle(self._posts.popleft(), tracks)

    def since(self, time: float) -> list[Kept]:
        """Return the posts from a time (Unix seconds) on, oldest first."""
        return [post for post in self._posts if post.time >= time]

    def usual_texts(self) -> list[str]:
        """Return the sample of texts from before the last hour."""
        return list(self._usual.values())

    def usual_emotions(self) -> dict[str, float]:
        """Return each emotion's usual share; empty where none is known."""
        if self.labelled < 20:
            return {}
        return {name: count / self.labelled for name, count in self.emotions.items()}

    def _settle(self, post: Kept, tracks: int) -> None:
        if post.emotions is not None:
            if self.labelled > 5000:
                self.labelled /= 2
                self.emotions = {name: count / 2 for name, count in self.emotions.items()}
            self.labelled += 1
            for emotion in post.emotions:
                if emotion in self.emotions or len(self.emotions) < 32:
                    self.emotions[emotion] = self.emotions.get(emotion, 0.0) + 1
        if post.text:
            # A sample that only depends on the posts: the place is drawn from the post's id.
            room = max(20, min(_USUAL_TEXTS, _ALL_USUAL_TEXTS // max(1, tracks)))
            self._usual[crc32(post.id.encode()) % room] = post.text


def is_negative(post: Kept) -> bool:
    """Whether a post counts as negative: its valence, or an emotion that is watched."""
    if post.valence is not None:
        return post.valence < NEGATIVE_BELOW
    return bool(post.emotions) and any(name in SPIKE_EMOTIONS for name in post.emotions or ())
