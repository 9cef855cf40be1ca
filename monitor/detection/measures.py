"""The measures beside the share negative: emotions, valence, and the number of negative posts."""

from math import exp
from operator import add as plus
from typing import NamedTuple

import msgspec

from monitor.detection.scan import evidence
from schemas.alert import Measure
from schemas.window import PaneSums

_HELD_BACK = 60
"""Minutes that a baseline doesn't know yet, so that a rise isn't taken for the usual."""
_STRETCHES = (5, 15, 45)
"""Minutes judged together."""
_MEMORY = exp(-1 / 720)
"""Kept of a baseline per minute: a time constant of twelve hours."""
_WANDER_MEMORY = exp(-1 / 96)
"""Kept of the wandering's variance per quarter of an hour: a day."""

_EMOTION_JUMPS = (0.05, 0.10, 0.20)
_VALENCE_JUMPS = (0.03, 0.06, 0.12)


class _Column(NamedTuple):
    """Where a measure stands in a row of running sums."""

    measure: Measure
    values: int
    posts: int
    """Where the number of posts that have the measure stands."""
    jumps: tuple[float, ...]


_COLUMNS = (
    _Column("anger", 1, 0, _EMOTION_JUMPS),
    _Column("fear", 2, 0, _EMOTION_JUMPS),
    _Column("sadness", 3, 0, _EMOTION_JUMPS),
    _Column("disgust", 4, 0, _EMOTION_JUMPS),
    _Column("valence", 6, 5, _VALENCE_JUMPS),
)
_VALENCE = _COLUMNS[-1]
_NOTHING = (0.0,) * 7
_LEAST_USUAL = 30.0
"""Posts from which on the usual is known."""


class Shares(msgspec.Struct):
    """The measures that are a share or a mean of posts: what is usual, and the last hour of it.

    Values lie in 0..1, and a rise is looked for: valence is held as one minus valence.
    """

    rows: list[tuple[float, ...]] = []
    """The last hour as running sums at the end of each minute, by column."""
    minute: int = 0
    """Minutes since 1970 of the minute that runs: the last row."""
    usual: list[float] = msgspec.field(default_factory=lambda: list(_NOTHING))
    """The sums of what is usual, by column."""
    wander: list[float] = msgspec.field(default_factory=lambda: [0.03**2] * len(_COLUMNS))
    """By measure, variance of a quarter of an hour's mean, beyond what its few posts explain."""

    def add(self, minute: int, sums: tuple[float, ...]) -> None:
        """Take a minute's sums by column."""
        if minute > self.minute or not self.rows:
            self._move(minute)
        self.rows[-1] = tuple(map(plus, self.rows[-1], sums))

    def band(self, posts: float) -> tuple[float, float] | None:
        """Return the usual valence (as one minus it) and the variance of a mean of so many posts.

        None before it is known from thirty posts.
        """
        known = self.usual[_VALENCE.posts]
        if known < _LEAST_USUAL:
            return None
        noise = _noise(_VALENCE, 0.0)
        return self._usual(_VALENCE), self.wander[-1] + noise / known + noise / posts

    def rises(self, least: float) -> list["Rise"]:
        """Return what speaks for a rise with more than `least` nats: of each measure the strongest.

        Call it when the running minute is complete.
        """
        found: list[Rise] = []
        rows = self.rows
        if not rows:
            return found
        now, last = rows[-1], len(rows) - 1
        before = [(minutes, rows[max(0, last - minutes)]) for minutes in _STRETCHES]
        for place, column in enumerate(_COLUMNS):
            known = self.usual[column.posts]
            if known < _LEAST_USUAL:
                continue
            usual = self._usual(column)
            noise = _noise(column, usual)
            doubt = self.wander[place] + noise / known
            most, strongest = max(0.0, least), None
            for minutes, then in before:
                posts = now[column.posts] - then[column.posts]
                if posts < 3:
                    continue
                mean = (now[column.values] - then[column.values]) / posts
                if mean <= usual or (mean - usual) ** 2 < 6 * (noise / posts + doubt):
                    continue
                speaks = evidence(posts, mean, usual, doubt, noise, jumps=column.jumps)
                if speaks > most:
                    most, strongest = speaks, Rise(column.measure, speaks, mean, usual, minutes)
            if strongest is not None:
                found.append(strongest)
        return found

    def begin_again(self) -> None:
        """Forget the last hour, not the usual: an alert ended, and what it saw isn't usual."""
        if self.rows:
            self._clear()

    def forget_usual(self) -> None:
        """Warm again: the instrument has changed."""
        self.usual = list(_NOTHING)
        self._clear()

    def _usual(self, column: _Column) -> float:
        return min(0.97, max(0.01, self.usual[column.values] / self.usual[column.posts]))

    def _clear(self) -> None:
        self.rows = [_NOTHING] * 2

    def _move(self, minute: int) -> None:
        if not self.rows or minute - self.minute > 24 * 60:
            self._clear()
            self.minute = minute
            return
        rows = self.rows
        for running in range(self.minute + 1, minute + 1):
            if running % 15 == 0:
                self._learn_wander()
            rows.append(rows[-1])
            if len(rows) <= _HELD_BACK + 1:
                continue
            before, after = rows.pop(0), rows[0]
            if after is before:  # nothing came in that minute
                self.usual = [usual * _MEMORY for usual in self.usual]
            else:
                self.usual = [
                    usual * _MEMORY + (so_far - earlier)
                    for usual, so_far, earlier in zip(self.usual, after, before, strict=True)
                ]
        self.minute = minute

    def _learn_wander(self) -> None:
        now, before = self.rows[-1], self.rows[max(0, len(self.rows) - 16)]
        for place, column in enumerate(_COLUMNS):
            posts = now[column.posts] - before[column.posts]
            if self.usual[column.posts] < _LEAST_USUAL or posts < 3:
                continue
            usual, wander = self._usual(column), self.wander[place]
            missed = ((now[column.values] - before[column.values]) / posts - usual) ** 2
            noise = _noise(column, usual)
            excess = min(missed, 4 * (noise / posts + wander)) - noise / posts
            kept = _WANDER_MEMORY
            self.wander[place] = min(0.1, max(0.01**2, kept * wander + (1 - kept) * excess))


def _noise(column: _Column, usual: float) -> float:
    """Return the variance of one post's value."""
    return 0.04 if column is _VALENCE else usual * (1 - usual)


class Volume(msgspec.Struct):
    """How many negative posts a minute are usual, by the same lists of minutes."""

    sums: list[float] = []
    minute: int = 0
    usual: float = 0.0
    """Negative posts a minute."""
    minutes: float = 0.0
    wander: float = 0.3**2
    """Variance of a quarter of an hour's number relative to the usual, beyond Poisson's."""

    def add(self, minute: int, soft: float) -> None:
        """Take a pane's negative posts, as a soft count after the caps."""
        if minute > self.minute or not self.sums:
            self._move(minute)
        self.sums[-1] += soft

    def begin_again(self) -> None:
        """Forget the last hour, not the usual: an alert ended, and what it saw isn't usual."""
        if self.sums:
            self.sums = [0.0]

    def evidence(self) -> tuple[float, float, int]:
        """Return the evidence (nats) for more, the observed number a minute, and the minutes."""
        best, observed, length = 0.0, 0.0, 0
        if self.minutes < 360:
            return best, observed, length
        for minutes in _STRETCHES:
            if len(self.sums) < minutes:
                break
            number, usual = sum(self.sums[-minutes:]), max(0.02, self.usual) * minutes
            if number <= usual or number < 3:
                continue
            variance = usual + self.wander * usual * usual
            speaks = (number - usual) ** 2 / (variance + number) / 2
            if speaks > best:
                best, observed, length = speaks, number / minutes, minutes
        return best, observed, length

    def _move(self, minute: int) -> None:
        missing = minute - self.minute
        if not self.sums or missing > 24 * 60:
            self.sums = [0.0]
            self.minute = minute
            return
        for _ in range(missing):
            self.minute += 1
            if self.minute % 15 == 0 and self.minutes > 60:
                number, usual = sum(self.sums[-15:]), max(0.3, self.usual * 15)
                excess = min((number - usual) ** 2 - usual, 4 * usual * usual) / (usual * usual)
                kept = _WANDER_MEMORY
                self.wander = min(4.0, max(0.01, kept * self.wander + (1 - kept) * excess))
            self.sums.append(0.0)
            if len(self.sums) > _HELD_BACK:
                self.minutes = self.minutes * _MEMORY + 1
                self.usual += (self.sums.pop(0) - self.usual) / self.minutes


class MinuteSums(msgspec.Struct):
    """What the measures are handed of one minute."""

    labelled: float = 0.0
    anger: float = 0.0
    fear: float = 0.0
    sadness: float = 0.0
    disgust: float = 0.0
    scored: float = 0.0
    valence: float = 0.0
    soft: float = 0.0

    def add(self, sums: PaneSums) -> None:
        """Add a pane's."""
        self.labelled += sums.labelled
        self.anger += sums.anger
        self.fear += sums.fear
        self.sadness += sums.sadness
        self.disgust += sums.disgust
        self.scored += sums.scored
        self.valence += sums.valence
        self.soft += sums.soft


class Rise(NamedTuple):
    """What one of these measures says."""

    measure: Measure
    score: float
    """Nats."""
    observed: float
    expected: float
    minutes: int


class OtherMeasures(msgspec.Struct):
    """All measures beside the share negative."""

    shares: Shares = msgspec.field(default_factory=Shares)
    volume: Volume = msgspec.field(default_factory=Volume)

    def feed(self, minute: int, sums: MinuteSums) -> None:
        """Hand a minute to each (minutes since 1970)."""
        scored = sums.scored
        felt = sums.labelled, sums.anger, sums.fear, sums.sadness, sums.disgust
        self.shares.add(minute, (*felt, scored, scored - sums.valence))
        if scored:
            self.volume.add(minute, sums.soft)

    def begin_again(self) -> None:
        """Forget the last hour, not the usual: an alert ended, and what it saw isn't usual."""
        self.shares.begin_again()
        self.volume.begin_again()

    def forget_usual(self) -> None:
        """Warm again: the instrument has changed. Posts are counted as before."""
        self.shares.forget_usual()

    def rises(self, least: float, *, share: float) -> list[Rise]:
        """Return the measures that speak for a rise with more than `least` nats.

        The number of negative posts counts only where the share negative speaks so, too (`share`
        nats): more posts of an unchanged mood are no spike.
        """
        found = [
            one._replace(observed=1 - one.observed, expected=1 - one.expected)  # turned back
            if one.measure == "valence"
            else one
            for one in self.shares.rises(least)
        ]
        if share > least:
            score, observed, minutes = self.volume.evidence()
            if score > least:
                found.append(Rise("negative_posts", score, observed, self.volume.usual, minutes))
        return found
