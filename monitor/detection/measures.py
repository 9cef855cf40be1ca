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


class Shares(msgspec.Struct):
    """Measures with a share or a mean of the same posts: what is usual, and the last hour of it.

    Values lie in 0..1, and a rise is looked for: valence is held as one minus valence.
    """

    measures: tuple[Measure, ...]
    usual_sums: list[float]
    """By measure, the sum of what is usual, over `usual_posts`."""
    wander: list[float]
    """By measure, variance of a quarter of an hour's mean, beyond what its few posts explain."""
    rows: list[tuple[float, ...]] = []
    """The last hour as running sums at the end of each minute: posts, then by measure."""
    minute: int = 0
    """Minutes since 1970 of the minute that runs: the last row."""
    usual_posts: float = 0.0

    def add(self, minute: int, sums: tuple[float, ...]) -> None:
        """Take a minute's posts, and the sums of their values by measure."""
        if minute > self.minute or not self.rows:
            self._move(minute)
        self.rows[-1] = tuple(map(plus, self.rows[-1], sums))

    def usual(self, index: int) -> float | None:
        """Return a measure's usual mean; None before it is known from thirty posts."""
        if self.usual_posts < 30:
            return None
        return min(0.97, max(0.01, self.usual_sums[index] / self.usual_posts))

    def band(self, index: int, posts: float) -> tuple[float, float] | None:
        """Return the usual mean and the variance of a mean of so many posts; None if unknown."""
        usual = self.usual(index)
        if usual is None:
            return None
        noise = self._noise(index, usual)
        return usual, self.wander[index] + noise / self.usual_posts + noise / posts

    def evidence(self) -> list[tuple[int, float, float, int]]:
        """Return what speaks for a rise: measure's index, nats, observed mean, over which minutes.

        Of each measure the strongest stretch. Call it when the running minute is complete.
        """
        found: list[tuple[int, float, float, int]] = []
        total = self.usual_posts
        if total < 30:
            return found
        rows = self.rows
        now, last = rows[-1], len(rows) - 1
        stretches: list[tuple[int, tuple[float, ...], float]] = []
        for minutes in _STRETCHES:
            before = rows[last - minutes if last > minutes else 0]
            if (posts := now[0] - before[0]) >= 3:
                stretches.append((minutes, before, posts))
        for index, sums in enumerate(self.usual_sums):
            mean_before = sums / total
            usual = min(0.97, max(0.01, mean_before))
            noise = self._noise(index, usual)
            doubt = self.wander[index] + noise / total
            place, most = index + 1, 0.0
            for minutes, before, posts in stretches:
                mean = (now[place] - before[place]) / posts
                if mean <= mean_before or mean < usual:
                    continue
                if (mean - usual) ** 2 < 6 * (noise / posts + doubt):
                    continue
                jumps = _VALENCE_JUMPS if self.measures[index] == "valence" else _EMOTION_JUMPS
                speaks = evidence(posts, mean, usual, doubt, noise, jumps=jumps)
                if speaks > most:
                    most, strongest = speaks, (index, speaks, mean, minutes)
            if most:
                found.append(strongest)
        return found

    def begin_again(self) -> None:
        """Forget the last hour, not the usual: an alert ended, and what it saw isn't usual."""
        if self.rows:
            self._clear()

    def forget_usual(self) -> None:
        """Warm again: the instrument has changed."""
        self.usual_posts = 0.0
        self.usual_sums = [0.0] * len(self.measures)
        self._clear()

    def _noise(self, index: int, usual: float) -> float:
        """Return the variance of one post's value."""
        return 0.04 if self.measures[index] == "valence" else usual * (1 - usual)

    def _clear(self) -> None:
        self.rows = [(0.0,) * (len(self.measures) + 1)] * 2

    def _move(self, minute: int) -> None:
        missing = minute - self.minute
        if not self.rows or missing > 24 * 60:
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
                self.usual_posts *= _MEMORY
                self.usual_sums = [usual * _MEMORY for usual in self.usual_sums]
            else:
                self.usual_posts = self.usual_posts * _MEMORY + (after[0] - before[0])
                self.usual_sums = [
                    usual * _MEMORY + (so_far - earlier)
                    for usual, so_far, earlier in zip(
                        self.usual_sums, after[1:], before[1:], strict=True
                    )
                ]
        self.minute = minute

    def _learn_wander(self) -> None:
        now, before = self.rows[-1], self.rows[max(0, len(self.rows) - 16)]
        posts = now[0] - before[0]
        if self.usual_posts < 30 or posts < 3:
            return
        for index, wander in enumerate(self.wander):
            usual = self.usual(index) or 0.0
            missed = ((now[index + 1] - before[index + 1]) / posts - usual) ** 2
            noise = self._noise(index, usual)
            excess = min(missed, 4 * (noise / posts + wander)) - noise / posts
            kept = _WANDER_MEMORY
            self.wander[index] = min(0.1, max(0.01**2, kept * wander + (1 - kept) * excess))


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


def _shares(*measures: Measure) -> Shares:
    number = len(measures)
    return Shares(measures, [0.0] * number, [0.03**2] * number)


class OtherMeasures(msgspec.Struct):
    """All measures beside the share negative."""

    emotions: Shares = msgspec.field(
        default_factory=lambda: _shares("anger", "fear", "sadness", "disgust")
    )
    valence: Shares = msgspec.field(default_factory=lambda: _shares("valence"))
    volume: Volume = msgspec.field(default_factory=Volume)

    def feed(self, minute: int, sums: MinuteSums) -> None:
        """Hand a minute to each (minutes since 1970)."""
        if sums.labelled:
            felt = sums.anger, sums.fear, sums.sadness, sums.disgust
            self.emotions.add(minute, (sums.labelled, *felt))
        if sums.scored:
            self.valence.add(minute, (sums.scored, sums.scored - sums.valence))
            self.volume.add(minute, sums.soft)

    def begin_again(self) -> None:
        """Forget the last hour, not the usual: an alert ended, and what it saw isn't usual."""
        self.emotions.begin_again()
        self.valence.begin_again()
        self.volume.begin_again()

    def forget_usual(self) -> None:
        """Warm again: the instrument has changed. Posts are counted as before."""
        self.emotions.forget_usual()
        self.valence.forget_usual()

    def rises(self, least: float, *, share: float) -> list[Rise]:
        """Return the measures that speak for a rise with more than `least` nats.

        The number of negative posts counts only where the share negative speaks so, too (`share`
        nats): more posts of an unchanged mood are no spike.
        """
        found = []
        for shares in (self.emotions, self.valence):
            for index, score, mean, minutes in shares.evidence():
                if score > least:
                    measure, usual = shares.measures[index], shares.usual(index) or 0.0
                    if measure == "valence":
                        mean, usual = 1 - mean, 1 - usual  # noqa: PLW2901 - turned back
                    found.append(Rise(measure, score, mean, usual, minutes))
        if share > least:
            score, observed, minutes = self.volume.evidence()
            if score > least:
                found.append(Rise("negative_posts", score, observed, self.volume.usual, minutes))
        return found
