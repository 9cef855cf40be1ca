"""What every kind of fault is, and what there is to break."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.faults.cluster import Cluster
from tests.faults.crew import Crew
from tests.faults.extras import Extras
from tests.faults.model_server import ModelServer
from tests.faults.plan import Fault

SESSION_S = 6.0
"""The members' session timeout: Kafka's least."""


@dataclass
class World:
    """What can break."""

    cluster: Cluster
    crew: Crew
    servers: list[ModelServer]
    extras: Extras
    before_deletion: Callable[[], Awaitable[None]]
    """Reads the dead letters before their topic goes."""
    notes: Counter[str] = field(default_factory=Counter)
    """What else is worth a line in the report, and how often it came about."""
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def server(self, fault: Fault) -> ModelServer:
        return self.servers[fault.target % len(self.servers)]

    @asynccontextmanager
    async def alone(self, families: Iterable[str]) -> AsyncIterator[None]:
        """Wait for the other faults of these families, and let none begin meanwhile."""
        async with AsyncExitStack() as stack:
            for family in sorted(families):
                await stack.enter_async_context(self._locks[family])
            yield


class Breakage:
    """One kind of fault. `run` returns when it is healed."""

    families: tuple[str, ...] = ()
    """Faults of one family come one after the other; others overlap."""

    async def run(self, world: World, fault: Fault) -> None:
        raise NotImplementedError
