"""How well a model's valence agrees with people's: Pearson's r over the rated tweets."""

import math
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import UNSET

from producer.tweets import HUMAN_VALENCE
from schemas import AffectEvent


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """The model's valence (0 to 1) against the human mean rating (-4 to 4)."""

    pearson: float | None
    """-1 to 1; None for fewer than two pairs, or where one side never varies."""
    pairs: int
    """Events with both, each post once."""


def valence_agreement(events: Iterable[AffectEvent]) -> Agreement:
    """Compare over all events that have both values; of a redelivered post the last counts."""
    pairs: dict[str, tuple[float, float]] = {}
    for event in events:
        human = event.meta.get(HUMAN_VALENCE)
        if (
            isinstance(human, (int, float))
            and event.sentiment is not UNSET
            and event.sentiment.valence is not UNSET
        ):
            pairs[event.post_id] = (event.sentiment.valence, float(human))
    return Agreement(
        pearson=pearson([a for a, _ in pairs.values()], [b for _, b in pairs.values()]),
        pairs=len(pairs),
    )


def pearson(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Pearson's correlation coefficient, two-pass: sum of dx*dy over the root of their squares.

    None where it isn't defined: fewer than two pairs, or a side without variance.

    Raises:
        ValueError: the two differ in length.
    """
    if len(xs) != len(ys):
        raise ValueError(f"{len(xs)} against {len(ys)} values")
    if len(xs) < 2:
        return None
    mean_x, mean_y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    dx, dy = [x - mean_x for x in xs], [y - mean_y for y in ys]
    spread = math.sqrt(math.fsum(d * d for d in dx)) * math.sqrt(math.fsum(d * d for d in dy))
    if not spread:
        return None
    product = math.fsum(a * b for a, b in zip(dx, dy, strict=True))
    return max(-1.0, min(1.0, product / spread))
