"""How much of the stream the second model reads alone while the first falls behind."""

import hashlib
from collections.abc import Sequence

_BEGINS = 0.75
"""Of the bound: the age at which shedding begins."""
_WHOLE = 1.25
"""Of the bound: the age at which everything is shed. Between the two the share grows in proportion:
no memory, so nothing winds up and it ends by itself. Age answers a share as an integrator does,
so a proportional share settles; at twice the capacity it settles on the bound itself."""
_IGNORED = 0.1
"""Share of the posts under way, the oldest, that don't count, two at least: a post that a server
fails on for minutes is no backlog."""
_SCALE = 1 << 64


class Shedding:
    """A controller: the backlog's age in, the share of posts to be shed out."""

    def __init__(self, above_age_s: float) -> None:
        """`above_age_s` is the age to hold, seconds; 0: never shed."""
        self._bound_s = above_age_s
        self.share = 0.0
        """Of the posts that begin now, 0 to 1."""

    @property
    def on(self) -> bool:
        """Whether it ever sheds."""
        return self._bound_s > 0

    def observe(self, ages_s: Sequence[float]) -> None:
        """Take the ages of all posts under way: the oldest that there are, as Kafka's are newer."""
        if not self.on:
            return
        ignored = max(2, int(len(ages_s) * _IGNORED))
        age = sorted(ages_s)[-1 - ignored] if len(ages_s) > ignored else 0.0
        share = (age / self._bound_s - _BEGINS) / (_WHOLE - _BEGINS)
        self.share = min(1.0, max(0.0, share))

    def sheds(self, post_id: str) -> bool:
        """Whether this post is among the share: by its id alone, never by what it says."""
        if not self.share:
            return False
        digest = hashlib.blake2b(post_id.encode(), digest_size=8, usedforsecurity=False).digest()
        return int.from_bytes(digest, "big") < self.share * _SCALE
