"""The measures beside the share negative: emotions, valence, and the number of negative posts."""

from math import exp
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


class Companion(msgspec.Struct):
    """One measure's usual value, and the last hour of it by minutes. Values lie in 0..1."""

    measure: Measure
    posts: list[float] = []
    sums: list[float] = []
    minute: int = 0
    """Minutes since 1970 of the minute that runs: it fills the lists' last items."""
    usual_posts: float = 0.0
    usual_sum: float = 0.0
    wander: float = 0.03**2
    """Variance of a quarter of an hour's mean around the usual, beyond the posts' number."""

    def add(self, minute: int, posts: float, total: float) -> None:
        """Take a pane's posts that have this measure, and the sum of their values."""
        if minute > self.minute or not self.posts:
            self._move(minute)
        self.posts[-1] += posts
        self.sums[-1] += total

    def usual(self) -> float | None:
        """Return the usual mean; None before it is known from thirty posts."""
        if self.usual_posts < 30:
            return None
        return min(0.97, max(0.01, self.usual_sum / self.usual_posts))

    def band(self, posts: float) -> tuple[float, float] | None:
        """Return the usual mean and the variance of a mean of so many posts; None if unknown."""
        usual = self.usual()
        if usual is None:
            return None
        noise = 0.04 if self.measure == "valence" else usual * (1 - usual)
        return usual, self.wander + noise / self.usual_posts + noise / posts

    def evidence(self) -> tuple[float, float, int]:
        """Return the most evidence (nats) for a rise, the observed mean, and over how many minutes.

        Call it when the running minute is complete.
        """
        usual = self.usual()
        best, observed, length = 0.0, 0.0, 0
        if usual is None:
            return best, observed, length
        valence = self.measure == "valence"
        noise = 0.04 if valence else usual * (1 - usual)
        doubt = self.wander + noise / self.usual_posts
        for minutes in _STRETCHES:
            posts = sum(self.posts[-minutes:])
            if posts < 3:
                continue
            mean = sum(self.sums[-minutes:]) / posts
            if (mean - usual) ** 2 < 6 * (noise / posts + doubt) or mean < usual:
                continue
            jumps = _VALENCE_JUMPS if valence else _EMOTION_JUMPS
            speaks = evidence(posts, mean, usual, doubt, noise, jumps=jumps)
            if speaks > best:
                best, observed, length = speaks, mean, minutes
        return best, observed, length

    def begin_again(self) -> None:
        """Forget the last hour, not the usual: an alert ended, and what it saw isn't usual."""
        if self.posts:
            self.posts, self.sums = [0.0], [0.0]

    def forget_usual(self) -> None:
        """Warm again: the instrument has changed."""
        self.usual_posts = self.usual_sum = 0.0
        self.posts, self.sums = [0.0], [0.0]

    def _move(self, minute: int) -> None:
        missing = minute - self.minute
        if not self.posts or missing > 24 * 60:
            self.posts, self.sums = [0.0], [0.0]
            self.minute = minute
            return
        for _ in range(missing):
            self.minute += 1
            if self.minute % 15 == 0:
                self._learn_wander()
            self.posts.append(0.0)
            self.sums.append(0.0)
            if len(self.posts) > _HELD_BACK:
                self.usual_posts = self.usual_posts * _MEMORY + self.posts.pop(0)
                self.usual_sum = self.usual_sum * _MEMORY + self.sums.pop(0)

    def _learn_wander(self) -> None:
        usual, posts = self.usual(), sum(self.posts[-15:])
        if usual is None or posts < 3:
            return
        missed = (sum(self.sums[-15:]) / posts - usual) ** 2
        noise = 0.04 if self.measure == "valence" else usual * (1 - usual)
        excess = min(missed, 4 * (noise / posts + self.wander)) - noise / posts
        kept = _WANDER_MEMORY
        self.wander = min(0.1, max(0.01**2, kept * self.wander + (1 - kept) * excess))


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


SHARES: tuple[Measure, ...] = ("anger", "fear", "sadness", "disgust", "valence")


def companions() -> list[Companion]:
    """Return the measures that have a share or a mean, each empty."""
    return [Companion(measure) for measure in SHARES]


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


def feed(measures: list[Companion], volume: Volume, minute: int, sums: MinuteSums) -> None:
    """Hand a minute to each (minutes since 1970). A fall in valence rises as one minus valence."""
    anger, fear, sadness, disgust, valence = measures
    if sums.labelled:
        anger.add(minute, sums.labelled, sums.anger)
        fear.add(minute, sums.labelled, sums.fear)
        sadness.add(minute, sums.labelled, sums.sadness)
        disgust.add(minute, sums.labelled, sums.disgust)
    if sums.scored:
        valence.add(minute, sums.scored, sums.scored - sums.valence)
        volume.add(minute, sums.soft)


class Rise(NamedTuple):
    """What one of these measures says."""

    measure: Measure
    score: float
    """Nats."""
    observed: float
    expected: float
    minutes: int


def rises(measures: list[Companion], volume: Volume, least: float, *, share: float) -> list[Rise]:
    """Return the measures that speak for a rise with more than `least` nats.

    The number of negative posts counts only where the share negative speaks so, too (`share`
    nats): more posts of an unchanged mood are no spike.
    """
    found = []
    for companion in measures:
        score, observed, minutes = companion.evidence()
        if score > least:
            usual = companion.usual() or 0.0
            if companion.measure == "valence":
                observed, usual = 1 - observed, 1 - usual
            found.append(Rise(companion.measure, score, observed, usual, minutes))
    if share > least:
        score, observed, minutes = volume.evidence()
        if score > least:
            found.append(Rise("negative_posts", score, observed, volume.usual, minutes))
    return found
