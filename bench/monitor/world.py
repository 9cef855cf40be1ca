"""A simulated track: posts with rhythms, drift, wandering, storms and traps, as panes."""

import random
from collections.abc import Iterator
from math import cos, exp, log, pi, sqrt

import msgspec

from monitor.windows.panes import PANE_S
from monitor.windows.valence import NEGATIVE_BELOW, SOFT, soft_negative
from schemas.window import PaneSums

DAY_S = 86_400


def rates(tracks: int) -> tuple[float, ...]:
    """Posts a minute of a world's tracks, two or more: 0.5 to 16, each by the same factor more."""
    return tuple(0.5 * 32 ** (step / (tracks - 1)) for step in range(tracks))


RATES = rates(12)
STORM_S = 2_700
"""Forty-five minutes."""
_DARKER = 0.08
"""How much lower the new model reads a post's valence."""


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
    emotional: float = 0.35
    """Probability that a negative post carries each of anger, fear, sadness and disgust."""
    new_model: bool = False
    """Whether another model, which reads .08 darker, takes over for the last third."""


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
    Kind(
        name="issue",
        storm_volume=2.5,
        valence_noise=0.09,
        negative_valence=0.26,
        other_valence=0.61,
    ),
    Kind(
        name="issue, even volume",
        calm=(0.08, 0.20),
        share_wander=0.12,
        drift=0.2,
        valence_noise=0.07,
        negative_valence=0.26,
        other_valence=0.61,
    ),
    Kind(name="another model", new_model=True),
)
"""The two of `issue` were fitted so that the told CUSUM comes to what issue 12 says of it: .97 of
the big storms at 386 s, .77 of all, at .58 false alarms. Either more posts in a storm or clearer
readings lead there, and the issue doesn't say which."""


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
    switch: int | None = None
    """When another model took over."""


class Plan(msgspec.Struct, frozen=True):
    """What happens to a track and when, in seconds from its start."""

    storms: tuple[Storm, ...]
    surges: tuple[int, ...]
    gaps: tuple[int, ...]
    switch: int | None
    """When another model takes over."""


class Minute(msgspec.Struct, frozen=True):
    """One minute of a track before its posts are drawn."""

    at: int
    posts: int
    share: float
    """Probability that a post is negative."""
    calm: float
    """The same without storm, surge and wandering."""
    storm: int | None
    """Index of the storm that it lies in."""


def minutes_of(
    kind: Kind, rate: float, draw: random.Random, plan: Plan, days: int
) -> Iterator[Minute]:
    """Yield a track's minutes, those of a gap with no posts."""
    base = draw.uniform(*kind.calm)
    rate_peak, share_peak = draw.uniform(0, 24), draw.uniform(0, 24)
    kept = exp(-60 / kind.wander_s)
    fresh = sqrt(1 - kept * kept)
    share_state, rate_state, level = draw.gauss(0, 1), draw.gauss(0, 1), log(base / (1 - base))
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
        storm = next((i for i, s in enumerate(plan.storms) if s.at <= at < s.at + STORM_S), None)
        if storm is not None:
            share, posts = min(0.95, share + plan.storms[storm].size), posts * kind.storm_volume
        if any(begin <= at < begin + STORM_S for begin in plan.surges):
            share, posts = max(0.02, share - 0.15), posts * 5
        if any(begin <= at < begin + 3600 for begin in plan.gaps):
            posts = 0.0
        yield Minute(at, _poisson(draw, posts), share, _logistic(rhythm), storm)


def simulate(kind: Kind, rate: float, seed: int, *, days: int = 10) -> Track:
    """Return a track of so many days, whose storms begin on the third, one a day.

    Two joyful surges (five times the posts, .15 less negative, 45 minutes) and a gap of an hour
    lie between them. The same arguments give the same track.
    """
    draw = random.Random(f"{kind.name} {rate:.4f} {seed}")
    plan = plan_of(kind, draw, days)
    panes: list[PaneSums] = []
    calm: list[float] = []
    counted = dict.fromkeys(range(len(plan.storms)), 0)
    low, high = (_soft(kind, mean) for mean in (kind.other_valence, kind.negative_valence))
    for minute in minutes_of(kind, rate, draw, plan, days):
        calm.append(minute.calm * high + (1 - minute.calm) * low)
        if minute.storm is not None:
            counted[minute.storm] += minute.posts
        darker = plan.switch is not None and minute.at >= plan.switch
        panes.extend(_panes(draw, kind, minute, darker=darker))
    return Track(
        rate,
        panes,
        calm,
        tuple(Storm(s.at, s.size, counted[i]) for i, s in enumerate(plan.storms)),
        plan.surges,
        plan.gaps,
        plan.switch,
    )


def plan_of(kind: Kind, draw: random.Random, days: int) -> Plan:
    """Draw when a track's storms, surges and gap are."""
    sizes = ([0.15, 0.30, 0.50] * days)[: max(0, days - 2)]
    draw.shuffle(sizes)
    storms = tuple(
        Storm(day * DAY_S + int(draw.uniform(3, 18) * 60) * 60, size)
        for day, size in enumerate(sizes, start=2)
    )
    others = draw.sample(storms, min(3, len(storms)))
    return Plan(
        storms,
        tuple(storm.at + 3 * 3600 for storm in others[:2]),
        tuple(storm.at - 2 * 3600 for storm in others[2:]),
        days * DAY_S * 2 // 3 // DAY_S * DAY_S if kind.new_model else None,
    )


def draw_valence(kind: Kind, draw: random.Random, *, negative: bool, darker: bool) -> float:
    """Return what a model reads in a post, 0 to 1."""
    mean = kind.negative_valence if negative else kind.other_valence
    return min(1.0, max(0.0, draw.gauss(mean - (_DARKER if darker else 0), kind.valence_noise)))


def _panes(draw: random.Random, kind: Kind, minute: Minute, *, darker: bool) -> list[PaneSums]:
    found: dict[int, PaneSums] = {}
    model = "new model" if darker else "model"
    for _ in range(minute.posts):
        start = minute.at + PANE_S * draw.randrange(60 // PANE_S)
        sums = found.get(start)
        if sums is None:
            sums = found[start] = PaneSums(at=start, readers={model: 0})
        negative = draw.random() < minute.share
        valence = draw_valence(kind, draw, negative=negative, darker=darker)
        soft = SOFT[int(valence * 1000 + 0.5)]
        below = valence < NEGATIVE_BELOW
        sums.posts += 1
        sums.readers[model] += 1
        sums.scored += 1
        sums.soft += soft
        sums.soft_squares += soft * soft
        sums.negative += below
        sums.people += below
        sums.valence += valence
        sums.labelled += 1
        felt = kind.emotional if negative else 0.04
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
