"""A simulated track: posts with rhythms, drift, wandering, storms and traps, as panes."""

import random
from math import cos, exp, log, pi, sqrt

import msgspec

from monitor.windows.panes import PANE_S
from monitor.windows.valence import NEGATIVE_BELOW, SOFT, soft_negative
from schemas.window import PaneSums

DAY_S = 86_400
STORM_S = 2_700
"""Forty-five minutes."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What a world is like; each is another answer to what the detector can't know."""

    name: str
    calm: tuple[float, float] = (0.12, 0.32)
    """Share negative of a track, drawn from here."""
    share_rhythm: float = 0.3
    """Amplitude of the day's rhythm, on the logit scale."""
    rate_rhythm: float = 0.6
    """The same of the rate, on the log scale."""
    drift: float = 0.3
    """Standard deviation of the mood's random walk in a day, logit."""
    share_wander: float = 0.2
    """Standard deviation of the mood's AR(1), logit."""
    rate_wander: float = 0.3
    wander_s: float = 1800.0
    """Time constant of both."""
    negative_valence: float = 0.28
    other_valence: float = 0.58
    valence_noise: float = 0.11
    storm_volume: float = 1.0
    """How many times as many posts a storm brings."""


KINDS = (
    Kind(name="usual"),
    Kind(name="restless", share_wander=0.35),
    Kind(name="calm", share_wander=0.1, drift=0.15),
    Kind(name="clear readings", valence_noise=0.06, negative_valence=0.3, other_valence=0.6),
    Kind(name="blurred readings", valence_noise=0.13, negative_valence=0.3, other_valence=0.56),
    Kind(name="quick wandering", wander_s=600.0),
    Kind(name="slow wandering", share_wander=0.25, wander_s=7200.0),
    Kind(name="strong rhythm", share_rhythm=0.6, rate_rhythm=1.0),
    Kind(name="storms bring posts", storm_volume=2.0),
)


class Storm(msgspec.Struct, frozen=True):
    """Forty-five minutes with a larger share negative."""

    at: int
    """Onset, seconds from the track's first pane."""
    size: float
    """Added to the share negative."""
    posts: int = 0


class Track(msgspec.Struct, frozen=True):
    """What was simulated, and the truth about it."""

    rate: float
    """Posts a minute, in the mean."""
    panes: list[PaneSums]
    calm: list[float]
    """Per minute, the expected soft count of a post without storm and wandering."""
    storms: tuple[Storm, ...]
    surges: tuple[int, ...]
    gaps: tuple[int, ...]


def simulate(kind: Kind, rate: float, seed: int, *, days: int = 10) -> Track:
    """Return a track of so many days, whose storms begin on the third, one a day.

    Two joyful surges (five times the posts, .15 less negative, 45 minutes) and a gap of an hour
    lie between them. The same arguments give the same track.
    """
    draw = random.Random(f"{kind.name} {rate:.4f} {seed}")
    plan = _plan(draw, days)
    storms, surges, gaps = plan
    base = draw.uniform(*kind.calm)
    rate_peak, share_peak = draw.uniform(0, 24), draw.uniform(0, 24)
    kept = exp(-60 / kind.wander_s)
    fresh = sqrt(1 - kept * kept)
    share_state, rate_state, level = draw.gauss(0, 1), draw.gauss(0, 1), log(base / (1 - base))
    panes: list[PaneSums] = []
    calm: list[float] = []
    counted = dict.fromkeys(range(len(storms)), 0)
    low, high = (_soft(kind, mean) for mean in (kind.other_valence, kind.negative_valence))
    for minute in range(days * 1440):
        at, hour = minute * 60, minute / 60
        share_state = kept * share_state + fresh * draw.gauss(0, 1)
        rate_state = kept * rate_state + fresh * draw.gauss(0, 1)
        level += kind.drift * sqrt(60 / DAY_S) * draw.gauss(0, 1)
        rhythm = level + kind.share_rhythm * cos(2 * pi * (hour - share_peak) / 24)
        share = _logistic(rhythm + kind.share_wander * share_state)
        posts = (
            rate
            * (0.8 if minute // 1440 % 7 >= 5 else 1.0)
            * exp(
                kind.rate_rhythm * cos(2 * pi * (hour - rate_peak) / 24)
                + kind.rate_wander * rate_state
            )
        )
        usual = _logistic(rhythm)
        calm.append(usual * high + (1 - usual) * low)
        storm = next((i for i, s in enumerate(storms) if s.at <= at < s.at + STORM_S), None)
        if storm is not None:
            share, posts = min(0.95, share + storms[storm].size), posts * kind.storm_volume
        if any(begin <= at < begin + STORM_S for begin in surges):
            share, posts = max(0.02, share - 0.15), posts * 5
        if any(begin <= at < begin + 3600 for begin in gaps):
            continue
        number = _poisson(draw, posts)
        if storm is not None:
            counted[storm] += number
        panes.extend(_panes(draw, kind, at, number, share))
    return Track(
        rate,
        panes,
        calm,
        tuple(Storm(s.at, s.size, counted[i]) for i, s in enumerate(storms)),
        surges,
        gaps,
    )


def _plan(draw: random.Random, days: int) -> tuple[list[Storm], tuple[int, ...], tuple[int, ...]]:
    sizes = ([0.15, 0.30, 0.50] * days)[: max(0, days - 2)]
    draw.shuffle(sizes)
    storms = [
        Storm(day * DAY_S + int(draw.uniform(3, 18) * 60) * 60, size)
        for day, size in enumerate(sizes, start=2)
    ]
    others = draw.sample(storms, min(3, len(storms)))
    surges = tuple(storm.at + 3 * 3600 for storm in others[:2])
    gaps = tuple(storm.at - 2 * 3600 for storm in others[2:])
    return storms, surges, gaps


def _panes(draw: random.Random, kind: Kind, at: int, number: int, share: float) -> list[PaneSums]:
    found: dict[int, PaneSums] = {}
    for _ in range(number):
        start = at + PANE_S * draw.randrange(60 // PANE_S)
        sums = found.get(start)
        if sums is None:
            sums = found[start] = PaneSums(at=start, readers={"model": 0})
        negative = draw.random() < share
        mean = kind.negative_valence if negative else kind.other_valence
        valence = min(1.0, max(0.0, draw.gauss(mean, kind.valence_noise)))
        soft = SOFT[int(valence * 1000 + 0.5)]
        below = valence < NEGATIVE_BELOW
        sums.posts += 1
        sums.readers["model"] += 1
        sums.scored += 1
        sums.soft += soft
        sums.soft_squares += soft * soft
        sums.negative += below
        sums.people += below
        sums.valence += valence
        sums.labelled += 1
        felt = 0.35 if negative else 0.04
        sums.anger += draw.random() < felt
        sums.fear += draw.random() < felt
        sums.sadness += draw.random() < felt
        sums.disgust += draw.random() < felt
    return [found[start] for start in sorted(found)]


def _poisson(draw: random.Random, mean: float) -> int:
    """Knuth's multiplication, in parts small enough for exp."""
    number = 0
    while mean > 0:
        part = min(mean, 30.0)
        mean -= part
        limit, product = exp(-part), draw.random()
        while product > limit:
            number += 1
            product *= draw.random()
    return number


def _soft(kind: Kind, mean: float) -> float:
    spread = sqrt(0.11**2 + kind.valence_noise**2) / 0.11
    return soft_negative(NEGATIVE_BELOW + (mean - NEGATIVE_BELOW) / spread)


def _logistic(value: float) -> float:
    return 1 / (1 + exp(-value))
