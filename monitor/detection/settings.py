"""The detector's settings: one knob, and the floors under which nothing is reported."""

from math import log

import msgspec

WEEK_S = 7 * 86400


class DetectionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One knob; the rest are floors and times with defaults that need no tuning."""

    false_alarms: float = 0.5
    """False alarms to be expected per track and week, over all measures together."""
    warm_s: int = 24 * 3600
    """Event time from a track's first post during which it is silent."""
    warm_posts: int = 50
    """Posts before which it is silent."""
    min_people: int = 3
    """Different people (texts, where authors are unknown) with negative posts since the start."""
    min_excess: float = 3.0
    """Negative posts more than expected since the start."""
    min_firing_s: int = 300
    """How long an alert fires at least."""
    silence_s: int = 900
    """Without a post for this long, or for the time of twenty usual ones, it becomes stale."""
    lasting_s: int = 6 * 3600
    """An alert that lasts this long, silence not counted, is a change of level."""
    lateness_s: float = 30.0
    """Allowed lateness of the watermark, which closes a pane this long after its end."""

    def threshold(self, rate: float, noise: float) -> float:
        """Return the evidence (nats) from which an alert fires.

        The track has `rate` posts a minute, each with a soft count of variance `noise`. What
        grows by chance to a given evidence does so the more often the more is learnt in a minute:
        so the threshold grows with the logarithm of the posts over their noise, and of the knob.
        The constant was set on simulated tracks of many kinds (`docs/monitor.md`), where half a
        false alarm a week came out of it.
        """
        known = _BY_RATE * log(max(0.2, rate)) + log(_USUAL_NOISE / max(0.005, noise))
        return _AT_ONE_POST + _SLOPE * log(_AT_KNOB / self.false_alarms) + known


_AT_ONE_POST = 6.4
"""Nats, for a track of one post a minute with the usual noise."""
_USUAL_NOISE = 0.12
_BY_RATE = 1.25
"""Theory says 1; busy tracks see more of the mood's wandering, too. Measured."""
_AT_KNOB = 0.5
_SLOPE = 0.8
"""Nats that divide the false alarms by e, measured; for a known mood the theory says 1."""
