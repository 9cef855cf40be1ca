"""Inputs by the million through decode → plan → read: each an event or a dead letter."""

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path as File

from tests.hostile.checks import check
from tests.hostile.draws import Draws, RandomDraws
from tests.hostile.inputs import KINDS, TWEET, Input, draw_input
from tests.hostile.pipeline import Loop, paths, record_of
from tests.hostile.replies import Reply, draw_reply

ROUND = 5_000
"""Inputs of one round, which has a seed of its own."""
_THOROUGH = 50
"""Each so-manieth event is also held to the JSON Schema."""

Tally = Counter[tuple[str, str]]
"""By kind of input and what became of it."""


class Fuzz:
    """Rounds of inputs, each with a seed of its own: what was cut off goes on where it was."""

    def __init__(self) -> None:
        self._paths = paths()
        mapped = [at for at, path in enumerate(self._paths) if path.mapped]
        self._homes = ([at for at in range(len(self._paths)) if at not in mapped], mapped)
        self._loop = Loop()
        self.tally: Tally = Counter()
        self.replies: Counter[str] = Counter()
        self.inputs = 0

    def one(self, given: Input, of: int, replies: Sequence[Reply]) -> str:
        """Send one input down one path; give what became of it."""
        path = self._paths[of % len(self._paths)]
        record = record_of(given, self.inputs)
        self.inputs += 1
        outcome = self._loop.run(path, record, replies, given.mark)
        thorough = self.inputs % _THOROUGH == 0
        return check(given, record, outcome, include_text=path.include_text, thorough=thorough)

    def round(self, number: int, count: int) -> None:
        """Draw and send `count` inputs, by the seed `number`."""
        draws = RandomDraws(random.Random(number))
        for _ in range(count):
            self.draw(draws)

    def draw(self, draws: Draws) -> None:
        """Draw one input and what it is answered, and send it."""
        given = draw_input(draws)
        of = draws.number(0, len(self._paths) - 1)
        if draws.number(0, 5):  # mostly where such records are at home
            of = draws.one(self._homes[given.kind == TWEET])
        replies = [draw_reply(draws) for _ in range(draws.number(1, 5))]
        try:
            became = self.one(given, of, replies)
        except BaseException as error:
            error.add_note(f"{self._paths[of]}: {given!r:.2000}\nanswered {replies!r:.2000}")
            raise
        self.tally[given.kind, became] += 1
        self.replies.update(reply.kind for reply in replies)

    def close(self) -> None:
        self._loop.close()


def run(count: int, first_seed: int, state: File | None, say: Callable[[str], None]) -> Fuzz:
    """Send `count` inputs in rounds. `state` keeps the count, and is gone on from.

    Raises whatever an input raised, with notes that hold the input and repeat it.
    """
    fuzz = Fuzz()
    _load(fuzz, state)
    try:
        _rounds(fuzz, count, first_seed, state, say)
    finally:
        fuzz.close()
    return fuzz


def _rounds(
    fuzz: Fuzz, count: int, first_seed: int, state: File | None, say: Callable[[str], None]
) -> None:
    began, before, reported = time.monotonic(), fuzz.inputs, 0.0
    while fuzz.inputs < count:
        number = first_seed + fuzz.inputs // ROUND
        try:
            fuzz.round(number, min(ROUND, count - fuzz.inputs))
        except BaseException as error:
            error.add_note(f"seed {number}: --seed {number} --inputs {ROUND} repeats it")
            raise
        _save(fuzz, state)
        now = time.monotonic()
        if now - reported > 15 or fuzz.inputs >= count:
            reported, rate = now, (fuzz.inputs - before) / (now - began)
            say(f"{fuzz.inputs:9,} of {count:,} inputs, {rate:,.0f} a second, no crash")


def _load(fuzz: Fuzz, state: File | None) -> None:
    if state is None or not state.exists():
        return
    kept = json.loads(state.read_text(encoding="utf-8"))
    fuzz.inputs = kept["inputs"]
    fuzz.tally = Counter({(kind, became): n for kind, became, n in kept["tally"]})
    fuzz.replies = Counter(kept["replies"])


def _save(fuzz: Fuzz, state: File | None) -> None:
    if state is None:
        return
    tally = [[kind, became, n] for (kind, became), n in fuzz.tally.items()]
    kept = {"inputs": fuzz.inputs, "tally": tally, "replies": dict(fuzz.replies)}
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text(json.dumps(kept), encoding="utf-8")


def table(fuzz: Fuzz) -> str:
    """What became of which kind of input: Markdown."""
    ends = sorted({became for _, became in fuzz.tally} - {"event"})
    lines = [
        f"| input | inputs | event | {' | '.join(ends)} |",
        f"|---|{'---:|' * (len(ends) + 2)}",
    ]
    for kind in (*KINDS, "all"):
        of = [
            sum(n for (k, became), n in fuzz.tally.items() if became == end and kind in (k, "all"))
            for end in ("event", *ends)
        ]
        lines.append(f"| {kind} | {sum(of):,} | {' | '.join(f'{n:,}' if n else '' for n in of)} |")
    replies = ", ".join(f"{kind} {n:,}" for kind, n in fuzz.replies.most_common())
    total = sum(fuzz.tally.values())
    events = sum(n for (_, became), n in fuzz.tally.items() if became == "event")
    return "\n".join(
        [
            *lines,
            "",
            f"inputs {total:,}: events {events:,}, dead letters {total - events:,}, crashes 0",
            f"drawn as the model servers' replies: {replies}",
            "",
        ]
    )


def say(line: str) -> None:
    """To a person who waits."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
