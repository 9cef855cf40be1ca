"""Who reads the posts: a change of model or of opinion is no change of mood."""

from functools import lru_cache
from math import exp, sqrt

import msgspec

_RECENT_S = 600.0
"""Time constant of what counts as the present mix, seconds."""
_USUAL_S = 6 * 3600.0
_LEAST_POSTS = 5.0
_DISTANCE = 0.2
"""Total variation between two mixes from which on a change is reported."""
_READERS = 16
"""Readers kept apart; there are rarely more than two."""


class Instrument(msgspec.Struct):
    """The present and the usual mix of readers, as weights that fade."""

    at: float = 0.0
    recent: dict[str, float] = {}
    usual: dict[str, float] = {}

    def observe(self, at: float, readers: dict[str, int]) -> bool:
        """Take a pane's posts by reader; True where the mix has changed."""
        usual = self.usual
        if len(usual) == len(readers) == 1:  # nearly always
            ((reader, posts),) = readers.items()
            if reader in usual:
                recent = self.recent
                if len(recent) > 1:
                    recent = self.recent = {reader: recent.get(reader, 0.0)}
                kept_recent, kept_usual = _kept(at - self.at)
                recent[reader] = recent.get(reader, 0.0) * kept_recent + posts
                usual[reader] = usual[reader] * kept_usual + posts
                self.at = at
                return False
        self._fade(at)
        for reader, posts in readers.items():
            for weights in (self.recent, self.usual):
                if reader in weights or len(weights) < _READERS:
                    weights[reader] = weights.get(reader, 0.0) + posts
        return differs(self.recent, self.usual)

    def settle(self) -> None:
        """Take the present mix as the usual one."""
        self.usual = dict(self.recent)

    def _fade(self, at: float) -> None:
        past = max(0.0, at - self.at)
        self.at = at
        for weights, span in ((self.recent, _RECENT_S), (self.usual, _USUAL_S)):
            kept = exp(-past / span)
            for reader in list(weights):
                weights[reader] *= kept
                if weights[reader] < 0.01:
                    del weights[reader]


@lru_cache(maxsize=1024)
def _kept(past: float) -> tuple[float, float]:
    """Return what is kept of the recent and of the usual mix; nearly always after some panes."""
    return exp(-past / _RECENT_S), exp(-past / _USUAL_S)


def differs(mix: dict[str, float], usual: dict[str, float]) -> bool:
    """Whether two mixes differ by more than their few posts explain."""
    posts, before = sum(mix.values()), sum(usual.values())
    if posts < _LEAST_POSTS or before < _LEAST_POSTS:
        return False
    apart = sum(
        abs(mix.get(reader, 0.0) / posts - usual.get(reader, 0.0) / before)
        for reader in mix.keys() | usual.keys()
    )
    return apart / 2 > _DISTANCE + 1.2 / sqrt(posts)
