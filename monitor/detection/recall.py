"""The last hour's posts of a track, for what an alert says about them; in bounded memory."""

from bisect import bisect_left
from collections import deque
from operator import attrgetter
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
_SLACK = 32
"""Posts more, and an eighth, that wait to be forgotten together: one by one took four times as
long."""
_TIME = attrgetter("time")
_SAMPLED = 4
"""One post in so many is looked at for the usual texts and emotions."""


class Recall:
    """One track's posts of the last hour, and a sample of what came before."""

    def __init__(self) -> None:
        self._posts: list[Entry] = []
        """Oldest first; some more than are kept, until they are looked at."""
        self._most = _SLACK
        self._tracks = 1
        self._texts: dict[int, str] = {}
        self._emotions: dict[str, float] = {}
        self._labelled = 0.0
        self.late: deque[float] = deque(maxlen=_MOST_POSTS)
        """Event times of events that came too late."""

    def add(self, entries: list[Entry], *, tracks: int) -> None:
        """Take a closed pane's posts. `tracks` is how many share the memory."""
        self._posts += entries
        self._tracks = tracks
        if len(self._posts) > self._most:
            self._forget()

    def since(self, time: float) -> list[Entry]:
        """Return the posts from a time (Unix seconds) on, oldest first."""
        self._forget()
        return [post for post in self._posts if post.time >= time]

    def usual_texts(self) -> list[str]:
        """Return the sample of texts from before the last hour."""
        self._forget()
        return list(self._texts.values())

    def usual_emotions(self) -> dict[str, float]:
        """Return each emotion's usual share; empty where too little is known."""
        self._forget()
        if self._labelled < 10:
            return {}
        return {name: count / self._labelled for name, count in self._emotions.items()}

    def _forget(self) -> None:
        """Keep the last hour's posts and not too many; of others a sample of what they were."""
        posts, tracks = self._posts, max(1, self._tracks)
        if not posts:
            return
        cut = bisect_left(posts, posts[-1].time - HOUR_S, key=_TIME)
        cut = max(cut, len(posts) - max(50, min(_MOST_POSTS, _ALL_POSTS // tracks)))
        room = max(20, min(_USUAL_TEXTS, _ALL_USUAL_TEXTS // tracks))
        for post in posts[:cut]:
            # By id: offsets may have a pattern (transaction markers, a batch a track), and are
            # others in a file than on the topic.
            drawn = crc32(post.id.encode())
            if drawn % _SAMPLED == 0:
                self._settle(post, drawn // _SAMPLED % room)
        del posts[:cut]
        self._most = len(posts) * 9 // 8 + _SLACK

    def _settle(self, post: Entry, place: int) -> None:
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
            self._texts[place] = event.text


def is_negative(post: Entry) -> bool:
    """Whether a post counts as negative: by its valence, else by an emotion that is watched."""
    mood = post.event.sentiment
    if mood is not None and mood.valence is not None:
        return mood.valence < NEGATIVE_BELOW
    return any(name in SPIKE_EMOTIONS for name in post.event.emotions or ())
