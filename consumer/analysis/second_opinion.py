"""The second model: whether it is asked about a post, how long it is waited for, how it agrees."""

from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import NoReturn, Protocol

import structlog

from consumer.analysis.agreement import FOREIGN_BELOW, Agreement
from consumer.analysis.asked_model import AskedModel, AvailablePool
from consumer.analysis.batch import Batch
from consumer.analysis.case import Case, SecondPart
from consumer.analysis.shedding import Shedding
from consumer.settings import Second
from consumer.telemetry import log_events
from emollm.tasks import EI_REG, V_REG
from runtime.clock import Clock, SystemClock, sleep

LOOK_S = 0.25
"""How often the ages, the outage and late answers are looked at: a quarter of the shortest bound of
a second that they know, and some microseconds' work."""
_OUTAGE_S = 1.0
"""The first model's servers are gone for this long before posts under way are given to the second:
a breaker that opens for a burst of failures closes within that."""
_START_LIMIT, _LEAST_LIMIT, _MOST_LIMIT = 256.0, 1.0, 8_192.0
"""Posts that wait for both models at once: as many as the second answers in time."""
_GROWTH = 1 / 8
"""For each post answered in time while the limit held others back: an eighth more a round trip, so
that a second that was frozen has its share again within a minute. Half as many when it is late."""
_SLOW_LIMIT = 8.0
"""From there down the second is of no use, and somebody should know."""
_LAST_POSTS = 20
"""Of how many posts it is told that most are read without the second: a stream that has few under
way never asks for more places than a short freeze left, and its second is in time all the same."""
_WARN_EVERY_S = 3600.0

_log = structlog.get_logger("consumer")


class Route(Enum):
    """Which models a post is given to."""

    FIRST = 1
    BOTH = 2
    SECOND = 3
    WAIT = 4
    """None can be asked now: it waits until one can."""


class OpinionObserver(Protocol):
    """What the second opinion tells those who count. Called inline: quick, never raises."""

    def opinion(self, whose: str, first_prompts: int, second_prompts: int) -> None:
        """An event was made: `both`, `first` or `second`; and what it cost of each model."""

    def second_missing(self, reason: str) -> None:
        """A post was read without the second: `late`, `busy`, `unavailable`, `unreadable`."""

    def shed(self) -> None:
        """A post was given to the second alone, since the first falls behind."""

    def shed_share(self, share: float) -> None:
        """The share of posts to be shed is now this."""

    def agreement(self, correlation: float) -> None:
        """The two models' valences correlate so, over the last posts."""


class NullOpinionObserver:
    """Counts nothing."""

    def opinion(self, whose: str, first_prompts: int, second_prompts: int) -> None:
        """Ignore."""

    def second_missing(self, reason: str) -> None:
        """Ignore."""

    def shed(self) -> None:
        """Ignore."""

    def shed_share(self, share: float) -> None:
        """Ignore."""

    def agreement(self, correlation: float) -> None:
        """Ignore."""


class SecondOpinion:
    """Decides about the second model, on one event loop. `run` goes beside the analysis."""

    def __init__(
        self,
        model: AskedModel,
        options: Second,
        *,
        observer: OpinionObserver | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.model = model
        self.weight = options.weight
        self.alone_tasks = frozenset(options.second_tasks)
        """Tasks that are asked of the second alone."""
        self.both_tasks = frozenset({V_REG.name, EI_REG.name} if options.weight else ())
        """Tasks whose answers are the two models' weighted mean."""
        self.observer = observer or NullOpinionObserver()
        self.stands_in = options.on_outage == "second"
        """Whether the second answers alone while no server of the first is available."""
        self._late_after_s = options.late_after_s
        self._clock = clock or SystemClock()
        self._shedding = Shedding(options.shed_above_age_s, LOOK_S)
        self._agreement = Agreement()
        self._warned_at = float("-inf")
        self._limit = _START_LIMIT
        self._lowered_at = float("-inf")
        self._told_late_at = float("-inf")
        self._in_time: deque[bool] = deque(maxlen=_LAST_POSTS)
        """Of the last posts that were both models' to read: whether the second did, in time."""
        self._asked = 0
        """Posts that wait for both."""
        self._waiting: dict[SecondPart, tuple[float, Batch]] = {}
        """Parts that only the second is waited for, since when; in that order."""
        self._batches: set[Batch] = set()
        self._newest_s = 0.0
        """Age of the last post that was given to a model, when it was."""
        self._settled = 0
        """Posts that the first has read since the last look."""
        self._outage_since: float | None = None

    # ---- what is asked of whom

    @property
    def available(self) -> bool:
        """Whether a server of the second takes prompts, and its model is known."""
        return self.model.pool.available and self.model.look()

    def route(self, case: Case, first: AvailablePool) -> Route:
        """Say which models this post is given to."""
        if self._shedding.on:
            self._newest_s = self._clock.wall() - _written_at(case)
        here = self.available and not case.first_alone
        if not first.available and self.stands_in:
            return Route.SECOND if here else Route.WAIT
        if not here:
            if not case.first_alone:
                self.observer.second_missing("unavailable")
            return Route.FIRST
        if self._shedding.sheds(case.decoded.post.id):
            self.observer.shed()
            return Route.SECOND
        if self._asked >= self._limit:
            self._in_time.append(False)
            self.observer.second_missing("busy")
            return Route.FIRST
        return Route.BOTH

    # ---- a batch under way

    def begin(self, batch: Batch) -> None:
        """A round of a batch begins."""
        self._batches.add(batch)

    def end(self, batch: Batch) -> None:
        """It is over, however."""
        self._batches.discard(batch)
        for case in batch.cases:
            part = case.second
            if part is not None:
                self._waiting.pop(part, None)
                if part.open and not part.given_up and not part.alone:
                    self._asked -= 1

    def asked_both(self) -> None:
        """A post is given to both models."""
        self._asked += 1

    def answered(self, part: SecondPart) -> None:
        """The second has answered all that it was asked about a post, in time."""
        if part.alone:
            return
        self._asked -= 1
        self._in_time.append(True)
        if self._asked + 1 >= self._limit:
            self._limit = min(_MOST_LIMIT, self._limit + _GROWTH)

    def asked_more(self, part: SecondPart) -> None:
        """The second had answered all, and is asked more about the post."""
        if not part.alone:
            self._asked += 1

    def give_up(self, part: SecondPart) -> None:
        """Don't wait for the second any more, of a post that both were asked about."""
        part.given_up = True
        self._waiting.pop(part, None)
        if part.open:
            part.open = 0
            self._asked -= 1

    def wait_for(self, part: SecondPart, batch: Batch) -> None:
        """From now on only the second is waited for."""
        self._waiting.setdefault(part, (self._clock.monotonic(), batch))

    def waits_no_more(self, part: SecondPart) -> None:
        """The first is waited for, too, or nothing."""
        if self._waiting:
            self._waiting.pop(part, None)

    def late(self) -> Iterator[tuple[SecondPart, Batch]]:
        """Take those that were waited for too long; fewer posts are given to both from now on."""
        now = self._clock.monotonic()
        found = []
        for part, (since, batch) in self._waiting.items():
            if now - since < self._late_after_s:
                break
            found.append((part, batch))
        if found and now - self._lowered_at >= self._late_after_s:
            self._lowered_at = now
            self._limit = max(_LEAST_LIMIT, self._limit / 2)
        self._in_time.extend(False for _ in found)
        if found and self._too_slow() and now - self._told_late_at >= _WARN_EVERY_S:
            self._told_late_at = now
            _log.warning(log_events.SECOND_LATE, bound_s=self._late_after_s)
        for part, batch in found:
            self.observer.second_missing("late")
            yield part, batch

    def settled(self) -> None:
        """The first has read a post, alone or with the second."""
        self._settled += 1

    def compare(self, first: float, second: float) -> None:
        """Take both models' valence of a post."""
        self._agreement.add(first, second)

    def problems(self) -> list[str]:
        """What is wrong with the second although its servers are there, a sentence for each."""
        found = []
        if self.available and self._too_slow():
            found.append(
                f"it answers later than {self._late_after_s:g} s after the first, so most posts are"
                " read without it: give it more servers, or fewer tasks"
            )
        if self._agreement.foreign or self._agreement.constant:
            found.append(self._advice())
        return found

    def _too_slow(self) -> bool:
        """Whether most of the last posts were read without it, few as it is given."""
        without = self._in_time.count(False)
        return self._limit < _SLOW_LIMIT and without > _LAST_POSTS / 2

    def _advice(self) -> str:
        constant = self._agreement.constant
        return ADVICE if constant is None else CONSTANT.format(constant)

    # ---- in the background

    def batches(self) -> tuple[Batch, ...]:
        """Give those under way."""
        return tuple(self._batches)

    def outage(self, first: AvailablePool) -> bool:
        """Say whether the second stands in for posts under way; to be asked regularly."""
        if first.available or not self.stands_in:
            self._outage_since = None
            return False
        now = self._clock.monotonic()
        if self._outage_since is None:
            self._outage_since = now
        return now - self._outage_since >= _OUTAGE_S and self.available

    def look(self) -> None:
        """Adapt the share that is shed, and judge how the models agree."""
        if self._shedding.on:
            now = self._clock.wall()
            self._shedding.observe(
                self._newest_s,
                [
                    now - _written_at(case)
                    for batch in self._batches
                    for case in batch.cases
                    if not case.settled and not (case.second is not None and case.second.alone)
                ],
                self._settled,
            )
            self._settled = 0
            self.observer.shed_share(self._shedding.share)
        found = self._agreement.judge()
        if found is None:
            return
        self.observer.agreement(found)
        now = self._clock.monotonic()
        told = self._agreement.foreign or self._agreement.constant is not None
        if told and now - self._warned_at >= _WARN_EVERY_S:
            self._warned_at = now
            _log.warning(
                log_events.SECOND_DISAGREES,
                correlation=round(found, 2),
                expected=f"{FOREIGN_BELOW:.2f} or more",
                advice=self._advice(),
            )

    async def run(self, turn: "Turn") -> NoReturn:
        """Look regularly, until it is cancelled; `turn` is what the analysis does then."""
        while True:
            await sleep(self._clock, LOOK_S)
            turn()
            self.look()


class Turn(Protocol):
    """What the analysis does at each look."""

    def __call__(self) -> None:
        """Do it; quick."""


ADVICE = (
    "the second model doesn't know this kind of text: lower model.second.weight, or take"
    " [model.second] out (docs/second-opinion.md)"
)
CONSTANT = (
    "the {} model gave the last posts that both read all the same valence: ask both with"
    " `emostream ask`, and see which one is broken"
)


def _written_at(case: Case) -> float:
    """When a post's record was written, Unix seconds; received, where the record doesn't say."""
    record = case.record
    return record.timestamp_ms / 1000 if record.timestamp_ms >= 0 else record.received_at
