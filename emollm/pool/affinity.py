"""Which server a prompt is best asked on: the one whose prefix cache has its instruction.

Rendezvous hashing (Thaler, Ravishankar 1998) ranks the servers for each instruction by a hash of
both, so all consumers agree on it, and a server that leaves or joins moves its own instructions
only. With a handful of instructions that alone would leave servers idle. So it is a preference and
no assignment: a server with a free place first takes the instruction that is most its own and
least the others', and always takes something. Two servers begin at the two ends of one list and
meet where their speeds let them.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from emollm.protocol import Prompt

if TYPE_CHECKING:
    from emollm.pool.queue import Pending
    from emollm.pool.upstream import Upstream

_KNOWN: Final = 10_000
"""Instructions remembered: some tens are in use; a program that makes up its own has no end."""
_SLACK: Final = 1.1
"""A prompt waits for no server: it goes to the preferred one while that is at most a tenth more
loaded than the least loaded (consistent hashing with bounded loads, Mirrokni et al. 2018)."""
_ALIKE: Final[Mapping[str, float]] = {}

Margins = Mapping[str, float]
"""By server's URL, above 0 for the preferred one: how much more it is preferred than the next."""


class Affinity:
    """The preferences of one pool's servers."""

    def __init__(self, servers: Sequence[str]) -> None:
        """`servers` are URLs; one alone is preferred for nothing."""
        self._servers = tuple(dict.fromkeys(servers))
        self._known: dict[str, Margins] = {}

    def margins(self, prompt: Prompt) -> Margins:
        """How much each server is preferred; the same object for the same instruction."""
        if len(self._servers) < 2:
            return _ALIKE
        instruction = prompt.instruction or prompt.task
        known = self._known.get(instruction)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[instruction] = self._of(instruction)
        return known

    def queue(self) -> "Lanes | Fifo":
        """Make the queue of a call."""
        return Lanes(self) if len(self._servers) > 1 else Fifo()

    def choose(
        self, upstreams: Sequence["Upstream"], now: float, prompt: Prompt | None
    ) -> "Upstream | None":
        """Give the server to wake for `prompt`: the preferred one, or the least loaded."""
        if len(upstreams) == 1:
            return upstreams[0] if upstreams[0].room(now) > 0 else None
        free = [one for one in upstreams if one.room(now) > 0]
        if len(free) < 2 or prompt is None:
            return min(free, key=_load, default=None)
        least = min(free, key=_load)
        margins = self.margins(prompt)
        home = max(free, key=lambda one: margins.get(one.url, 0.0))
        return home if home.load <= least.load * _SLACK else least

    def _of(self, instruction: str) -> Margins:
        scores = {
            url: int.from_bytes(blake2b(f"{url}\0{instruction}".encode(), digest_size=8).digest())
            / 2**64
            for url in self._servers
        }
        return {
            url: score - max(other for name, other in scores.items() if name != url)
            for url, score in scores.items()
        }


class Fifo(deque["Pending"]):
    """A call's waiting prompts where one server alone is asked: first come, first served."""

    def take(self, _server: str) -> "Pending":
        """Take the first. Raises IndexError without any."""
        return self.popleft()

    def first(self) -> "Pending":
        """Give the first. Raises IndexError without any."""
        return self[0]


class Lanes:
    """A call's waiting prompts, first come first served within each instruction."""

    __slots__ = ("_affinity", "_count", "_lanes")

    def __init__(self, affinity: Affinity) -> None:
        self._affinity = affinity
        self._count = 0
        self._lanes: dict[int, tuple[Margins, deque[Pending]]] = {}

    def __len__(self) -> int:
        return self._count

    def extend(self, prompts: Sequence["Pending"]) -> None:
        """Put these behind those of their instructions."""
        for pending in prompts:
            self._lane(pending).append(pending)
        self._count += len(prompts)

    def appendleft(self, pending: "Pending") -> None:
        """Put one before those of its instruction."""
        self._lane(pending).appendleft(pending)
        self._count += 1

    def take(self, server: str) -> "Pending":
        """Take the prompt that suits a server best. Raises ValueError without any."""
        if len(self._lanes) == 1:
            (key,) = self._lanes
        else:
            key = max(self._lanes, key=lambda key: self._lanes[key][0].get(server, 0.0))
        lane = self._lanes[key][1]
        pending = lane.popleft()
        if not lane:
            del self._lanes[key]
        self._count -= 1
        return pending

    def first(self) -> "Pending":
        """The prompt that came first. Raises StopIteration without any."""
        return next(iter(self._lanes.values()))[1][0]

    def clear(self) -> None:
        """Forget them all."""
        self._lanes.clear()
        self._count = 0

    def _lane(self, pending: "Pending") -> deque["Pending"]:
        margins = self._affinity.margins(pending.prompt)
        return self._lanes.setdefault(id(margins), (margins, deque()))[1]


def _load(upstream: "Upstream") -> float:
    return upstream.load
