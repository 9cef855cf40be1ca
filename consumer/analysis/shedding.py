"""How much of the stream the second model reads alone while the first falls behind."""

import hashlib
from collections import deque
from collections.abc import Sequence

_BEGINS = 0.75
"""Of the bound: the age at which shedding begins."""
_WHOLE = 1.25
"""Of the bound: the age at which everything is shed. Between the two the share grows in proportion:
no memory, so nothing winds up and it ends by itself. Age answers a share as an integrator does,
so a proportional share settles; at twice the capacity it settles on the bound itself."""
_SEEN_FROM = 0.5
"""Of the bound: before a post is as old, nothing is shed, whatever is foreseen: a burst of posts
says nothing of how fast the first model is."""
_IGNORED = 0.1
"""Share of the posts under way, the oldest, that don't count as seen, two at least: a post that a
server fails on for minutes is no backlog."""
_LOOKS = 40
"""Of how many looks the first model's rate is the mean: ten seconds."""
_SCALE = 1 << 64


class Shedding:
    """A controller: posts under way in, the share of posts to be shed out.

    What it holds at the bound is the age that a post which begins now will have when the first
    model has read it: the age it has, and its place in the first's queue. The oldest post's age is
    the same a while later, too late to steer by (it would swing).
    """

    def __init__(self, above_age_s: float, look_s: float) -> None:
        """`above_age_s` is the age to hold, 0: never shed; `look_s` how often `observe` is called.

        Both in seconds.
        """
        self._bound_s = above_age_s
        self._look_s = look_s
        self._settled: deque[int] = deque(maxlen=_LOOKS)
        self.share = 0.0
        """Of the posts that begin now, 0 to 1."""

    @property
    def on(self) -> bool:
        """Whether it ever sheds."""
        return self._bound_s > 0

    def observe(self, newest_s: float, ages_s: Sequence[float], settled: int) -> None:
        """Take what there is to know, once a look.

        `newest_s` is the age that the last post had when it began, shed or not; `ages_s` are those
        of the posts that wait for the first now; `settled` it has read since the last look.
        """
        self._settled.append(settled)
        ages = sorted(ages_s)
        ignored = max(2, int(len(ages) * _IGNORED))
        if len(ages) <= ignored or ages[-1 - ignored] < _SEEN_FROM * self._bound_s:
            self.share = 0.0
            return
        read = sum(self._settled)
        if not read:
            self.share = 1.0
            return
        rate = read / (len(self._settled) * self._look_s)
        foreseen = newest_s + len(ages) / rate
        share = (foreseen / self._bound_s - _BEGINS) / (_WHOLE - _BEGINS)
        self.share = min(1.0, max(0.0, share))

    def sheds(self, post_id: str) -> bool:
        """Whether this post is among the share: by its id alone, never by what it says."""
        if not self.share:
            return False
        digest = hashlib.blake2b(post_id.encode(), digest_size=8, usedforsecurity=False).digest()
        return int.from_bytes(digest, "big") < self.share * _SCALE
