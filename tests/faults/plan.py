"""Which faults come when: drawn by a seed, written to a log, and read from it again."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of the plan."""

    number: int
    at: float
    """Seconds after the first post."""
    kind: str
    target: int
    """Which member or server, modulo how many there are."""
    seconds: float
    """How long it lasts, where it lasts."""
    strength: float
    """0 to 1; what it means is the kind's business."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. The same plan makes the same posts and the same faults at the same times."""

    seed: int
    posts: int
    partitions: int
    members: int
    """At the start; faults change it."""
    static: tuple[int, ...]
    """Slots with static membership."""
    over_s: float
    """How long the posts take to come in."""
    faults: tuple[Fault, ...]


def draw(*, seed: int, faults: int, posts: int, pace_s: float, kinds: Iterable[str]) -> Plan:
    """Draw a plan: every kind comes once before any comes twice."""
    rng = random.Random(seed)
    deck: list[str] = []
    every = sorted(kinds)
    drawn = []
    at = 5.0  # the first posts are under way by then
    for number in range(faults):
        if not deck:
            deck = rng.sample(every, len(every))
        drawn.append(
            Fault(
                number=number,
                at=round(at, 2),
                kind=deck.pop(),
                target=rng.randrange(12),
                seconds=round(rng.uniform(1.5, 6.0), 2),
                strength=round(rng.random(), 3),
            )
        )
        at += rng.uniform(0.4, 1.6) * pace_s
    return Plan(
        seed=seed,
        posts=posts,
        partitions=rng.randint(4, 8),
        members=rng.randint(2, 4),
        static=tuple(sorted(rng.sample(range(4), 2))),
        over_s=round(at + pace_s, 2),
        faults=tuple(drawn),
    )


class Log:
    """The run's log, JSON by line: the plan first, which replays it, then what was done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w", encoding="utf-8")

    def write(self, what: str, **fields: Any) -> None:
        line = msgspec.json.encode({"what": what, **fields})
        self._file.write(line.decode() + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_plan(path: Path) -> Plan:
    """The plan that a log begins with."""
    with path.open(encoding="utf-8") as lines:
        first = msgspec.json.decode(next(lines))
    return msgspec.convert(first["plan"], Plan)
