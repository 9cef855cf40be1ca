"""Alarms against the truth: false ones a week, storms found, and how soon."""

from collections.abc import Sequence
from statistics import median

import msgspec

from bench.monitor.world import DAY_S, STORM_S, Track
from monitor.detection import DetectionSettings, TrackDetector

_SLACK_S = 600
"""An alarm up to ten minutes after a storm's end is still that storm's."""
FIRST_DAYS = 2


class Tally(msgspec.Struct):
    """Counts over many tracks."""

    weeks: float = 0.0
    false: int = 0
    in_surges: int = 0
    in_gaps: int = 0
    in_switches: int = 0
    """Within six hours of a change of model."""
    storms: list[tuple[float, float, int, float | None]] = []
    """Rate, size, posts, delay in seconds or None where it was missed."""

    def add(self, other: "Tally") -> None:
        """Count another's tracks, too."""
        self.weeks += other.weeks
        self.false += other.false
        self.in_surges += other.in_surges
        self.in_gaps += other.in_gaps
        self.in_switches += other.in_switches
        self.storms = self.storms + other.storms

    def false_a_week(self) -> float:
        """Return false alarms a track and week."""
        return self.false / self.weeks

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of that, by Poisson's (Byar's approximation)."""
        low = (
            self.false
            * (1 - 1 / (9 * max(1, self.false)) - 1.96 / (3 * max(1, self.false) ** 0.5)) ** 3
        )
        more = self.false + 1
        high = more * (1 - 1 / (9 * more) + 1.96 / (3 * more**0.5)) ** 3
        return (low / self.weeks if self.false else 0.0), high / self.weeks

    def found(self, *, big: bool = False) -> float:
        """Return the share of storms found; `big`: of +.30 and more with 150 posts and more."""
        chosen = [s for s in self.storms if not big or (s[1] >= 0.295 and s[2] >= 150)]
        return sum(s[3] is not None for s in chosen) / max(1, len(chosen))

    def delay(self) -> float:
        """Return the median seconds from onset to alarm, of the big ones that were found."""
        delays = [s[3] for s in self.storms if s[1] >= 0.295 and s[2] >= 150 and s[3] is not None]
        return median(delays) if delays else float("nan")


def alarms(track: Track, settings: DetectionSettings, *, first_pane: int = 0) -> list[float]:
    """Return when the product's detector fires, in the panes' seconds."""
    detector = TrackDetector("track", first_pane, settings)
    return [
        transition.at
        for sums in track.panes
        for transition in detector.feed(sums)
        if transition.kind == "spike"
        and transition.state == "firing"
        and transition.fired_at == transition.at
    ]


def told_alarms(track: Track, threshold: float, *, jump: float = 0.2) -> list[float]:
    """Return when a CUSUM fires that is told each minute's true calm mood: the limit.

    It gathers the normal log-likelihood ratio of a `jump` in the soft count, per pane.
    """
    posts = sum(sums.scored for sums in track.panes)
    mean = sum(sums.soft for sums in track.panes) / posts
    noise = sum(sums.soft_squares for sums in track.panes) / posts - mean * mean
    fired: list[float] = []
    gathered, firing = 0.0, False
    for sums in track.panes:
        calm = track.calm[sums.at // 60]
        excess = sums.soft - sums.scored * calm
        gathered += jump * (excess - sums.scored * jump / 2) / noise
        gathered = min(threshold + 4, max(0.0, gathered))
        if not firing and gathered >= threshold:
            firing = True
            fired.append(sums.at + 10 + 30.0)
        firing = firing and gathered > threshold / 5
    return fired


def tally(track: Track, fired: Sequence[float], into: Tally, *, days: int = 10) -> set[float]:
    """Add a track's alarms to the counts, the first two days' not; return those in storms."""
    into.weeks += (days - FIRST_DAYS) / 7
    hits: set[float] = set()
    for storm in track.storms:
        own = [at for at in fired if storm.at <= at <= storm.at + STORM_S + _SLACK_S]
        hits.update(own)
        into.storms.append(
            (track.rate, storm.size, storm.posts, own[0] - storm.at if own else None)
        )
    for at in fired:
        if at in hits or at < FIRST_DAYS * DAY_S:
            continue
        into.false += 1
        into.in_surges += any(begin <= at <= begin + 3600 for begin in track.surges)
        into.in_gaps += any(begin <= at <= begin + 7200 for begin in track.gaps)
        into.in_switches += track.switch is not None and 0 <= at - track.switch <= 6 * 3600
    return hits


def line(name: str, result: Tally) -> str:
    """Return one row of the table."""
    low, high = result.interval()
    return (
        f"{name:32s} {result.false_a_week():5.2f} [{low:.2f} {high:.2f}] "
        f"{result.found(big=True):5.2f} {result.delay():5.0f} {result.found():5.2f} "
        f"{result.in_surges:3d} {result.in_gaps:3d} "
        f"{result.in_switches:3d}  {result.weeks:.0f} weeks\n"
    )
