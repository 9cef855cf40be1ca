"""Whether the consumer lives and is ready, and why not: what `/livez` and `/readyz` say."""

import time
from collections.abc import Callable, Sequence

from consumer.telemetry.meter import Meter
from consumer.telemetry.state import Snapshot
from emollm.pool import BreakerState, ServerState


class Health:
    """Says whether the service lives and is ready, and why not."""

    def __init__(
        self,
        *,
        stuck_after_s: float,
        meter: Meter | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`meter` knows when a model server last answered; without one, none ever did."""
        self._stuck_after_s = stuck_after_s
        self._meter = meter
        self._monotonic = monotonic
        self._first_out_at = float("-inf")
        """When it was last seen that no server of the model itself takes prompts, or that posts
        wait for a schema registry."""
        self.snapshot: Callable[[], Snapshot] | None = None
        """How the service is doing; None until there is one."""
        self.servers: Callable[[], Sequence[ServerState]] | None = None
        """How the model servers are doing; None until there is a service."""
        self.registry: Callable[[], Sequence[str]] = tuple
        """What keeps posts waiting for a schema registry; nothing where none is needed."""
        self.second: Callable[[], Sequence[str]] | None = None
        """What is wrong with the second model; None where none is configured."""

    def not_alive(self) -> list[str]:
        """Why the platform should restart the process; empty while it makes progress.

        Progress is that model servers answer, well or not, or that posts are finished. Waiting is
        no reason: a restart brings no model server back, and makes an overloaded one no faster.
        """
        if self.snapshot is None:
            return []
        state = self.snapshot()
        if state.phase != "running":  # start and drain have their own deadlines
            return []
        limit = self._stuck_after_s
        problems: list[str] = []
        if state.since_loop_s > limit:
            problems.append(f"no look for posts since {state.since_loop_s:.0f} s")
        if not self._first_answers() or self.registry():
            self._first_out_at = self._monotonic()
        elif state.available and self._idle_s(state) > limit:
            problems.append(f"posts are waiting and none was finished since {limit:.0f} s")
        return problems

    def _first_answers(self) -> bool:
        """Whether the model's own servers are there: else a post may wait for them for hours.

        A second model that stands in keeps the service available, and can't read every post.
        """
        if self.servers is None:
            return True
        return any(server.breaker is BreakerState.CLOSED for server in self.servers())

    def _idle_s(self, state: Snapshot) -> float:
        """For how long there was work and a server, and neither an answer nor a finished post."""
        idle_s = min(state.oldest_in_flight_s, state.since_finish_s, state.since_available_s)
        idle_s = min(idle_s, self._monotonic() - self._first_out_at)
        if self._meter is not None:
            idle_s = min(idle_s, self._monotonic() - self._meter.last_answer)
        return idle_s

    def not_ready(self) -> list[str]:
        """Why posts don't go through; empty while they do."""
        problems = self._missing_servers()
        if self.snapshot is None:
            return [*problems, "the service is starting"]
        state = self.snapshot()
        if state.ready:
            return []  # one server is enough
        if state.phase == "waiting":
            return [*problems, *(self.registry() or ["waiting for a model server"])]
        if state.phase != "running":
            problems.append(f"the service is {state.phase}")
        elif not state.joined:
            problems.append("the group has not given this member its share")
        if not state.available:
            problems.append("no model server takes prompts")
        return problems

    def _missing_servers(self) -> list[str]:
        problems: list[str] = []
        for server in self.servers() if self.servers is not None else ():
            if server.out is not None:
                problems.append(f"model server {server.url} is out: {server.problem or server.out}")
            elif server.breaker is not BreakerState.CLOSED:
                words = f"; {server.problem}" if server.problem else ""
                problems.append(f"model server {server.url}: breaker {server.breaker.value}{words}")
        return problems

    def warnings(self) -> list[str]:
        """What needs a human although posts go through: it makes nothing unready."""
        if self.snapshot is None:
            return self._second_warnings()
        troubled = [
            f"model server {server.url}: {server.problem}"
            for server in (self.servers() if self.servers is not None else ())
            if server.problem is not None
        ]
        state = self.snapshot()
        stopped = [
            f"{one.topic}-{one.partition} stopped at offset {one.bad_batch_at}, where a batch can't"
            " be read; the other partitions go on. Repair the broker's log, or:"
            " emostream offsets skip"
            for one in state.partitions
            if one.bad_batch_at is not None
        ]
        not_begun = [
            f"{name} isn't read yet; where that lasts, `partition_not_begun` in the log says why"
            for name in state.not_begun
        ]
        return [*troubled, *self.registry(), *self._second_warnings(), *stopped, *not_begun]

    def _second_warnings(self) -> list[str]:
        return [f"second model: {problem}" for problem in (self.second() if self.second else ())]
