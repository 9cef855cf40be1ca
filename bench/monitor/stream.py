"""A simulated world as a file of affect events with traps, and the backtest command judged on it.

`python -m bench.monitor.stream --kind 9 --seed 1` writes the events, runs `emostream monitor
backtest FILE --by topics --false-alarms 0.5 --json` on them and prints what was found.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from bench.monitor.judge import FIRST_DAYS, Tally, line, tally, told_alarms
from bench.monitor.world import (
    DAY_S,
    KINDS,
    RATES,
    Kind,
    Minute,
    Plan,
    Storm,
    Track,
    draw_valence,
    minutes_of,
    plan_of,
    rates,
    simulate,
)
from schemas import AffectEvent, ModelRef, Sentiment

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday, midnight."""
_BURST_POSTS = 150
_BURST_S = 1200
_LATE, _TWICE = 0.01, 0.01
"""Shares of the events that come minutes late, and that come twice."""
_WORDS = [a + b for a in ("ba", "do", "ke", "li", "mu", "na") for b in ("ran", "lor", "tes", "vik")]
_EMOTIONS = ("anger", "fear", "sadness", "disgust")


class Truth(msgspec.Struct, frozen=True):
    """What happened to one track of the file."""

    name: str
    rate: float
    storms: tuple[Storm, ...]
    surges: tuple[int, ...]
    gaps: tuple[int, ...]
    bursts: tuple[int, ...]
    switch: int | None


def write_events(
    file: Path, kind: Kind, seed: int, *, days: int = 10, posts_per_minute: Sequence[float] = RATES
) -> tuple[list[Truth], int]:
    """Write a world in order of arrival; return the truth of each track and how many events."""
    arrived: list[tuple[float, bytes]] = []
    truths = []
    for number, rate in enumerate(posts_per_minute):
        draw = random.Random(f"{kind.name} {rate:.4f} {seed}")
        plan = plan_of(kind, draw, days)
        name = f"track{number:02d}"
        counted = dict.fromkeys(range(len(plan.storms)), 0)
        for minute in minutes_of(kind, rate, draw, plan, days):
            if minute.storm is not None:
                counted[minute.storm] += minute.posts
            arrived.extend(_events(kind, draw, plan, minute, name))
        bursts = tuple(begin + 5 * 3600 for begin in plan.gaps)
        for begin in bursts:
            arrived.extend(_burst(kind, draw, begin, name))
        storms = tuple(Storm(s.at, s.size, counted[i]) for i, s in enumerate(plan.storms))
        truths.append(Truth(name, rate, storms, plan.surges, plan.gaps, bursts, plan.switch))
    arrived.sort()
    with file.open("wb") as out:
        out.writelines(row for _, row in arrived)
    return truths, len(arrived)


def _events(
    kind: Kind, draw: random.Random, plan: Plan, minute: Minute, name: str
) -> Iterator[tuple[float, bytes]]:
    darker = plan.switch is not None and minute.at >= plan.switch
    for number in range(minute.posts):
        negative = draw.random() < minute.share
        valence = draw_valence(kind, draw, negative=negative, darker=darker)
        felt = kind.emotional if negative else 0.04
        event = _event(
            f"{name}-{minute.at}-{number}",
            minute.at + draw.random() * 60,
            name,
            author=f"a{int(4000 * draw.random() ** 2)}",
            valence=valence,
            emotions=tuple(e for e in _EMOTIONS if draw.random() < felt),
            text=" ".join(draw.choices(_WORDS, k=9)),
            model="new model" if darker else "model",
        )
        yield from _arrivals(draw, *event)


def _burst(kind: Kind, draw: random.Random, begin: int, name: str) -> Iterator[tuple[float, bytes]]:
    for number in range(_BURST_POSTS):
        yield from _arrivals(
            draw,
            *_event(
                f"{name}-burst-{number}",
                begin + draw.random() * _BURST_S,
                name,
                author="one",
                valence=draw_valence(kind, draw, negative=True, darker=False),
                emotions=("anger",),
                text=" ".join(draw.choices(_WORDS, k=9)),
                model="model",
            ),
        )


def _event(
    post: str,
    at: float,
    track: str,
    *,
    author: str,
    valence: float,
    emotions: tuple[str, ...],
    text: str,
    model: str,
) -> tuple[float, bytes]:
    created = START + timedelta(seconds=round(at, 3))
    event = AffectEvent(
        version=1,
        id=f"e-{post}",
        post_id=post,
        source="mastodon",
        author=author,
        lang="en",
        topics=(track,),
        text=text,
        created_at=created,
        processed_at=created + timedelta(seconds=2),
        model=ModelRef(id=model),
        sentiment=Sentiment(valence=round(valence, 3)),
        emotions=emotions,
    )
    return at, msgspec.json.encode(event) + b"\n"


def _arrivals(draw: random.Random, at: float, row: bytes) -> Iterator[tuple[float, bytes]]:
    late = draw.uniform(60, 600) if draw.random() < _LATE else 0.0
    came = at + draw.expovariate(0.5) + late
    yield came, row
    if draw.random() < _TWICE:
        yield came + draw.uniform(0, 120), row


def judge(rows: list[dict[str, object]], truths: list[Truth], days: int) -> tuple[Tally, int]:
    """Return the tally, and the alarms in bursts."""
    found, in_bursts = Tally(), 0
    for truth in truths:
        fired = sorted(
            (datetime.fromisoformat(str(row["fired_at"])) - START).total_seconds()
            for row in rows
            if row["track"] == truth.name
            and row["transition"] == "firing"
            and row["kind"] == "spike"
            and row["at"] == row["fired_at"]
        )
        track = Track(truth.rate, [], [], truth.storms, truth.surges, truth.gaps, truth.switch)
        hits = tally(track, fired, found, days=days)
        others = [at for at in fired if at not in hits and at > FIRST_DAYS * DAY_S]
        in_bursts += sum(
            begin <= at <= begin + _BURST_S + 1800 for at in others for begin in truth.bursts
        )
    return found, in_bursts


def main() -> None:
    """Write a world, run the command on it, print what it found beside the told CUSUM."""
    parser = argparse.ArgumentParser(prog="python -m bench.monitor.stream", description=__doc__)
    parser.add_argument("--kind", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--tracks", type=int, default=len(RATES), help="2 or more")
    parser.add_argument("--false-alarms", type=float, default=0.5)
    parser.add_argument("--keep", type=Path, help="write the events here, and keep them")
    chosen = parser.parse_args()
    kind = KINDS[chosen.kind]
    with tempfile.TemporaryDirectory() as folder:
        file = chosen.keep or Path(folder) / "events.jsonl"
        truths, events = write_events(
            file, kind, chosen.seed, days=chosen.days, posts_per_minute=rates(chosen.tracks)
        )
        words = ["monitor", "backtest", str(file), "--by", "topics", "--json"]
        knob = ["--false-alarms", f"{chosen.false_alarms:g}"]
        before = os.times()
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "emostream", *words, *knob],
            check=True,
            stdout=subprocess.PIPE,
        )
        took, after = time.monotonic() - began, os.times()
    cpu = after.children_user + after.children_system - before.children_user
    cpu -= before.children_system
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    found, in_bursts = judge(rows, truths, chosen.days)
    sys.stdout.write(line(f"{kind.name}, seed {chosen.seed}, backtest", found))
    for threshold in (11.0, 13.0, 15.0):
        told = Tally()
        for rate in rates(chosen.tracks):
            track = simulate(kind, rate, chosen.seed, days=chosen.days)
            tally(track, told_alarms(track, threshold, jump=0.13), told, days=chosen.days)
        sys.stdout.write(line(f"  told, threshold {threshold:g}", told))
    sys.stdout.write(
        f"  alarms in bursts: {in_bursts}; {events:,} events, "
        f"{events / cpu:,.0f} a CPU-second, {events / took:,.0f} a second\n"
    )


if __name__ == "__main__":
    main()
