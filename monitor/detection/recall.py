"""The last hour's posts of a track, for what an alert says about them; in bounded memory."""

from collections import deque
from zlib import crc32

from monitor.windows.panes import SPIKE_EMOTIONS, Entry
from monitor.windows.valence import NEGATIVE_BELOW

HOUR_S = 3600
_MOST_POSTS = 2000
"""Posts of one track that are kept: at 16 a minute an hour and more."""
_ALL_POSTS = 100_000
"""Posts that are kept of all tracks together: some 100 MB."""
_USUAL_TEXTS = 400
_ALL_USUAL_TEXTS = 40_000
_SAMPLED = 4
"""One post in so many is looked at for the usual texts and emotions."""


class Recall:
    """One track's posts of the last hour, and a sample of what came before."""

    def __init__(self) -> None:
        self._posts: deque[Entry] = deque()
        self._texts: dict[int, str] = {}
        self._emotions: dict[str, float] = {}
        self._labelled = 0.0
        self.late: deque[float] = deque(maxlen=_MOST_POSTS)
        """Event times of events that came too late."""

    def add(self, entries: list[Entry], *, tracks: int) -> None:
        """Take a closed pane's posts. `tracks` is how many share the memory."""
        posts = self._posts
        posts.extend(entries)
        oldest = entries[-1].time - HOUR_S
        while posts[0].time < oldest:
            if (post := posts.popleft()).offset % _SAMPLED == 0:
                self._settle(post, tracks)
        room = max(50, min(_MOST_POSTS, _ALL_POSTS // max(1, tracks)))
        while len(posts) > room:
            if (post := posts.popleft()).offset % _SAMPLED == 0:
                self._settle(post, tracks)

    def since(self, time: float) -> list[Entry]:
        """Return the posts from a time (Unix seconds) on, oldest first."""
        return [post for post in self._posts if post.time >= time]

    def usual_texts(self) -> list[str]:
        """Return the sample of texts from before the last hour."""
        return list(self._texts.values())

    def usual_emotions(self) -> dict[str, float]:
        """Return each emotion's usual share; empty where too little is known."""
        if self._labelled < 10:
            return {}
        return {name: count / self._labelled for name, count in self._emotions.items()}

    def _settle(self, post: Entry, tracks: int) -> None:
        event = post.event
        if event.emotions is not None:
            if self._labelled > 2000:
                self._labelled /= 2
                self._emotions = {name: count / 2 for name, count in self._emotions.items()}
            self._labelled += 1
            for emotion in event.emotions:
                if emotion in self._emotions or len(self._emotions) < 32:
                    self._emotions[emotion] = self._emotions.get(emotion, 0.0) + 1
        if event.text:
            # A sample that only depends on the posts: the place is drawn from the post's id.
            room = max(20, min(_USUAL_TEXTS, _ALL_USUAL_TEXTS // max(1, tracks)))
            self._texts[crc32(post.id.encode()) % room] = event.text


def is_negative(post: Entry) -> bool:
    """Whether a post counts as negative: by its valence, else by an emotion that is watched."""
    mood = post.event.sentiment
    if mood is not None and mood.valence is not None:
        return mood.valence < NEGATIVE_BELOW
    return any(name in SPIKE_EMOTIONS for name in post.event.emotions or ())
