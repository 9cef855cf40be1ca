"""Faults of the model servers."""

import asyncio

from consumer.errors import FuseBlown
from emollm.errors import Unauthorized, WrongModel
from tests.faults.breakage import Breakage, World
from tests.faults.plan import Fault

_OUT_S = 75.0
"""A model server that refused the key is tried again after 60 s (`emollm.pool.health`)."""
_STOPS: dict[str, tuple[type[Exception], ...]] = {
    "401": (Unauthorized,),
    "unreadable": (WrongModel, FuseBlown),
}
"""Ways that may stop a consumer with exit 3, and the error that its log names then."""


class Model(Breakage):
    """A model server misbehaves in one of its ways: one of the two, or both."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        # Two ways at once on one server would repair each other.
        self.families = ("model",)

    async def run(self, world: World, fault: Fault) -> None:
        servers = world.servers if fault.strength > 0.6 else [world.server(fault)]
        if self.mode in _STOPS:
            # With both servers so, at once or within the minute for which one stays out, the
            # consumer stops, as it says it does; so does one that starts on a server that fails
            # the canary, and one that would dead-letter nearly everything.
            world.crew.forgive(3, fault.seconds + _OUT_S, *_STOPS[self.mode])
        # Either all answers, as with a dead shard, or a few.
        few = 0.2 < fault.strength < 0.4 and self.mode not in ("401", "424_batch")
        share = 0.05 if few else 1.0
        for server in servers:
            server.misbehave(self.mode, share)
        await asyncio.sleep(fault.seconds)
        for server in servers:
            server.behave()


class ModelFrozen(Breakage):
    """One server, at times both, answers nothing for up to 25 s, whatever it is asked."""

    families = ("model",)

    async def run(self, world: World, fault: Fault) -> None:
        servers = world.servers if fault.strength > 0.8 else [world.server(fault)]
        for server in servers:
            server.misbehave("frozen", 1.0)
        await asyncio.sleep(10.0 + 15.0 * fault.strength)
        for server in servers:
            server.behave()


class ModelGone(Breakage):
    """One of two model servers is away: connections refused."""

    families = ("model",)

    async def run(self, world: World, fault: Fault) -> None:
        server = world.server(fault)
        await server.stop()
        await asyncio.sleep(fault.seconds)
        await server.start()


class ModelRestart(Breakage):
    """Both model servers are restarted at once: nobody answers."""

    families = ("model",)

    async def run(self, world: World, fault: Fault) -> None:
        for server in world.servers:
            await server.stop()
        await asyncio.sleep(fault.seconds / 2)
        for server in world.servers:
            await server.start()
