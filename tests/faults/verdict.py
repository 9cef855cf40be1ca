"""Whether a run kept its promises: set arithmetic over all inputs, outputs and commits.

It knows neither Kafka nor a clock: positions are (partition, offset), and `at` is any number that
grows in the order in which the broker wrote. So the same code judges a run on real Kafka and one
on the fakes.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from consumer.dead_letters import Reason

Position = tuple[int, int]
"""Log and offset of an input record. A log is a partition; of a topic that was created again each
life has its own."""

UNANSWERED: str = Reason.UNANSWERED
"""Class of the dead letter of a post about which no answer could be read."""

_KEPT = 5
"""Examples of each kind of breach that are told."""
_PAUSES = 5_000
"""Pauses that are kept, the longest: with a thousand faults enough for each to find its own."""


class Input(NamedTuple):
    """What was written to the posts' topic."""

    key: bytes | None
    dead_letter: str | None
    """Class of the dead letter that it must become; None where it must become an event."""
    at: float
    skipped: bool = False
    """It must leave nothing, and be passed: no post, or in a batch that was skipped."""
    may_wait: bool = False
    """It may stay uncommitted: its topic was deleted, or the fuse has blown."""


class Output(NamedTuple):
    """One event or dead letter."""

    position: Position | None
    """Of the input that it says it is of; None: of none that there is."""
    letter: str | None
    """The dead letter's class; None for an event."""
    key: bytes | None
    partition: int
    values: object
    """What may not differ between two of one input: the id included."""
    at: float
    unanswered: frozenset[str] = frozenset()
    """Questions that it says have no readable answer; of a dead letter all that were asked."""


class Unread(NamedTuple):
    """Questions about one post that a model server answered unreadably, by its own record."""

    once: frozenset[str] = frozenset()
    """In one wording at least: the answer may be another one when it is asked again."""
    twice: frozenset[str] = frozenset()
    """In both wordings: it may stay unanswered."""


class Commit(NamedTuple):
    """One commit, as the broker wrote it: all records before `offset` are done."""

    partition: int
    offset: int
    at: float


@dataclass
class Verdict:
    """What was found."""

    posts: int = 0
    events: int = 0
    letters: int = 0
    both: int = 0
    """Inputs among the events and the dead letters: when they were read again, the model answered
    unreadably. Less these, the fates add up to the posts."""
    skipped: int = 0
    uncommitted: int = 0
    """Inputs that nobody finished, where that is right."""
    unanswered: int = 0
    """Inputs with a question that the model answered unreadably in both wordings: events that
    say so, and dead letters where it was so with all of them."""
    redelivered: int = 0
    """Outputs beyond the first of an input."""
    commits: int = 0
    went_back: int = 0
    """Commits below an earlier one of their partition: work is done again, none is lost."""
    breaches: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Promise that was broken → examples."""
    counts: Counter[str] = field(default_factory=Counter)
    """Promise that was broken → how often."""
    pauses: list[tuple[float, float]] = field(default_factory=list)
    """Stretches in which something waited and nothing came out: from, to."""
    first: dict[Position, float] = field(default_factory=dict)
    """When each input's first output was written."""
    copies: Counter[Position] = field(default_factory=Counter)
    """Outputs of each input."""
    last_commits: dict[int, int] = field(default_factory=dict)
    """By log."""

    @property
    def ok(self) -> bool:
        return not self.counts

    @property
    def lost(self) -> int:
        return self.counts["lost"]

    def breach(self, promise: str, example: str) -> None:
        """Note a broken promise."""
        self.counts[promise] += 1
        if len(self.breaches[promise]) < _KEPT:
            self.breaches[promise].append(example)


def judge(
    inputs: Mapping[Position, Input],
    outputs: Iterable[Output],
    commits: Iterable[Commit],
    *,
    finished: bool,
    once: bool = False,
    unread: Callable[[Position], Unread] = lambda _: Unread(),
) -> Verdict:
    """Hold every output and every commit against the inputs.

    With `finished` all inputs must be committed by now; without, what lies behind the last
    commits may be unfinished. With `once` no input has two outputs. `unread` tells what the model
    answered unreadably about an input: for that alone, and for nothing else, may a question stay
    unanswered.
    """
    verdict = Verdict(posts=len(inputs))
    by_position: dict[Position, list[Output]] = defaultdict(list)
    for output in outputs:
        if output.position is None or output.position not in inputs:
            verdict.breach("invented", f"an output of no input: {output}")
        else:
            by_position[output.position].append(output)
    for position, found in by_position.items():
        _judge_outputs(verdict, position, inputs[position], found, unread)
        if once and len(found) > 1:
            at = sorted(output.at for output in found)
            verdict.breach("twice", f"{position} has {len(found)} outputs, written at {at}")
    verdict.first = first = {
        position: min(output.at for output in found) for position, found in by_position.items()
    }
    verdict.copies.update({position: len(found) for position, found in by_position.items()})
    committed = verdict.last_commits = _judge_commits(verdict, inputs, first, commits)
    for position, post in inputs.items():
        done = position[1] < committed.get(position[0], 0)
        verdict.skipped += done and post.skipped
        verdict.uncommitted += post.may_wait and not done and position not in first
        if post.skipped and position in first:
            verdict.breach("wrong fate", f"{position}: skipped, and yet it has an output")
        due = finished and not post.may_wait
        if position not in first and not post.skipped and (done or due):
            verdict.breach("lost", f"{position} is neither event nor dead letter")
        if due and not done:
            verdict.breach("left behind", f"{position} is not committed")
    verdict.pauses = _pauses(inputs, first)
    return verdict


def _judge_outputs(
    verdict: Verdict,
    position: Position,
    post: Input,
    found: Sequence[Output],
    unread: Callable[[Position], Unread],
) -> None:
    events = [output for output in found if output.letter is None]
    letters = [output for output in found if output.letter is not None]
    verdict.events += bool(events)
    verdict.letters += bool(letters)
    verdict.both += bool(events and letters)
    verdict.redelivered += len(found) - 1
    said = frozenset[str]().union(*(output.unanswered for output in found))
    varies = len({repr(event.values) for event in events}) > 1
    missed = unread(position) if said or varies else Unread()
    verdict.unanswered += bool(said)
    if said - missed.twice:
        verdict.breach("unanswered", f"{position}: {sorted(said - missed.twice)} had an answer")
    given_up = [
        one
        for one in letters
        if one.letter == UNANSWERED and one.unanswered and post.dead_letter is None
    ]
    # Only a model that answers the same when it is asked again makes the same of a post again.
    if events and len(letters) > len(given_up):
        verdict.breach("both", f"{position} is an event and a dead letter {letters[0].letter}")
    for letter in letters:
        if letter.letter != post.dead_letter and letter not in given_up:
            due = post.dead_letter or "an event"
            verdict.breach("wrong fate", f"{position}: dead letter {letter.letter}, due: {due}")
    if events and post.dead_letter is not None:
        verdict.breach("wrong fate", f"{position}: an event, due: {post.dead_letter}")
    if varies and not missed.once:
        verdict.breach("two truths", f"{position}: {[event.values for event in events]}")
    if len({output.partition for output in events}) > 1:
        verdict.breach("key moved", f"{position}: events of one key in two partitions")
    if post.key is not None and any(output.key != post.key for output in found):
        verdict.breach("key changed", f"{position}: {[output.key for output in found]}")


def _judge_commits(
    verdict: Verdict,
    inputs: Mapping[Position, Input],
    first: Mapping[Position, float],
    commits: Iterable[Commit],
) -> dict[int, int]:
    """Check each commit against what was written by then; give the last of each partition."""
    offsets: dict[int, list[int]] = defaultdict(list)
    for partition, offset in sorted(inputs):
        offsets[partition].append(offset)

    def finished_at(position: Position) -> float:
        never = -float("inf") if inputs[position].skipped else float("inf")
        return first.get(position, never)

    # When everything up to the n-th record of a partition had an output.
    done_by = {
        partition: _running_max(finished_at((partition, offset)) for offset in in_partition)
        for partition, in_partition in offsets.items()
    }
    last: dict[int, int] = {}
    for partition, offset, at in commits:
        verdict.commits += 1
        verdict.went_back += offset < last.get(partition, 0)
        last[partition] = offset
        records = bisect_left(offsets[partition], offset)
        if records and done_by[partition][records - 1] > at:
            passed = next(
                one for one in offsets[partition][:records] if finished_at((partition, one)) > at
            )
            verdict.breach(
                "passed", f"commit {offset} of partition {partition} passes {passed}, unfinished"
            )
    return last


def _running_max(values: Iterable[float]) -> list[float]:
    found: list[float] = []
    for value in values:
        found.append(max(value, found[-1]) if found else value)
    return found


def _pauses(
    inputs: Mapping[Position, Input], first: Mapping[Position, float]
) -> list[tuple[float, float]]:
    """Stretches between two outputs, while something waited: longest first."""
    steps = sorted(
        [(post.at, 0) for position, post in inputs.items() if position in first]
        + [(at, 1) for at in first.values()]
    )
    waiting = 0
    since = 0.0
    pauses: list[tuple[float, float]] = []
    for at, out in steps:
        if out:
            pauses.append((since, at))
            waiting -= 1
            since = at
        else:
            if waiting <= 0:
                since = at
            waiting += 1
    return sorted(pauses, key=lambda pause: pause[0] - pause[1])[:_PAUSES]
