"""Whether the consumer lives and is ready, and why not: what `/livez` and `/readyz` say."""

from collections.abc import Callable, Sequence

from consumer.telemetry.state import Snapshot
from emollm.pool import BreakerState, ServerState


class Health:
    """Says whether the service lives and is ready, and why not."""

    def __init__(self, *, stuck_after_s: float) -> None:
        self._stuck_after_s = stuck_after_s
        self.snapshot: Callable[[], Snapshot] | None = None
        """How the service is doing; None until there is one, while model servers are waited for."""
        self.servers: Callable[[], Sequence[ServerState]] | None = None
        """How the model servers are doing; None until the pool is open."""

    def not_alive(self) -> list[str]:
        """Why the platform should restart the process; empty while it makes progress.

        Waiting for a model server is no reason: a restart would not bring it back.
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
        work = state.in_flight_records > 0 or any(one.lag for one in state.partitions)
        if work and state.available and state.since_progress_s > limit:
            problems.append(f"posts are waiting and none was finished since {limit:.0f} s")
        return problems

    def not_ready(self) -> list[str]:
        """Why posts don't go through; empty while they do."""
        problems: list[str] = []
        if self.servers is not None:
            for server in self.servers():
                if server.out is not None:
                    problems.append(f"model server {server.url} is out: {server.out}")
                elif server.breaker is not BreakerState.CLOSED:
                    problems.append(f"model server {server.url}: breaker {server.breaker.value}")
        if self.snapshot is None:
            return [*problems, "waiting for a model server"]
        state = self.snapshot()
        if state.ready:
            return []  # one server is enough
        if state.phase != "running":
            problems.append(f"the service is {state.phase}")
        if not state.partitions:
            problems.append("no partition is assigned")
        if not state.available:
            problems.append("no model server takes prompts")
        return problems
