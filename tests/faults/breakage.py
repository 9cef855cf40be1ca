"""What every kind of fault is, and what there is to break."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.cluster import Cluster
from tests.faults.crew import Crew
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
    before_deletion: Callable[[], Awaitable[None]]
    """Reads the dead letters before their topic goes."""

    def server(self, fault: Fault) -> ModelServer:
        return self.servers[fault.target % len(self.servers)]


class Breakage:
    """One kind of fault. `run` returns when it is healed."""

    families: tuple[str, ...] = ()
    """Faults of one family come one after the other; others overlap."""

    async def run(self, world: World, fault: Fault) -> None:
        raise NotImplementedError
