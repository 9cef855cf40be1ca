"""What the consumer says of itself in its log while all is well: once a minute, and at news."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NoReturn

import structlog

from consumer.telemetry import log_events
from consumer.telemetry.state import Snapshot
from runtime.clock import Clock, sleep
from runtime.telemetry.waiting import Waiting

_log = structlog.get_logger("consumer")

EVERY_S = 60.0
"""Often enough to see a stall in the log, seldom enough to read the log."""
_LOOK_S = 1.0
"""A model server that is there is found within that; else it is worth a line."""
_ADVICE = "correct model.servers, or start one; what is wrong with each is logged beside"


class Progress:
    """Counts dead letters by class between two reports, and warns at the first of each class."""

    def __init__(self, servers: Sequence[str] = (), *, wait_s: float = 0.0) -> None:
        """`servers` are the model servers' URLs, `wait_s` how long one is waited for at start."""
        self._servers = tuple(servers)
        self._wait_s = wait_s
        self._since: Counter[str] = Counter()
        self._known: set[str] = set()

    def dead_letter(self, stage: str, class_name: str) -> None:
        """A dead letter is acknowledged."""
        self._since[class_name] += 1
        if class_name not in self._known:
            self._known.add(class_name)
            _log.warning(
                log_events.FIRST_DEAD_LETTER,
                stage=stage,
                **{"class": class_name},
                advice=f"emostream dlq list --class {class_name}",
            )

    async def report(self, snapshot: Callable[[], Snapshot], clock: Clock) -> NoReturn:
        """Log how it goes, each minute, until it is cancelled; what is waited for, at once."""
        model = Waiting(log_events.WAITING_FOR_MODEL, clock)
        consumed, at = snapshot().consumed, clock.monotonic()
        while True:
            await sleep(clock, _LOOK_S)
            state, now = snapshot(), clock.monotonic()
            self._note_model(model, state)
            if now - at < EVERY_S:
                continue
            lags = [one.lag for one in state.partitions]
            known = [lag for lag in lags if lag is not None]
            _log.info(
                log_events.PROGRESS,
                phase=state.phase,
                posts_per_s=round((state.consumed - consumed) / (now - at), 1),
                lag=sum(known) if known else None,
                partitions=len(lags),
                dead_letters=dict(self._since),
                paused=state.paused,
            )
            self._since.clear()
            consumed, at = state.consumed, now

    def _note_model(self, model: Waiting, state: Snapshot) -> None:
        """Say for how long no model server takes prompts, and what to look at."""
        if state.available or state.phase not in {"waiting", "running"}:
            model.over()
        elif state.phase == "running":
            model.still(servers=self._servers, advice=_ADVICE)
        else:
            gives_up = f"after {self._wait_s:g} s" if self._wait_s else "never"
            model.still(
                servers=self._servers, advice=_ADVICE, gives_up=f"{gives_up} (model.wait_s)"
            )
