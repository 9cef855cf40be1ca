"""The faults: each a small class that injects itself and heals."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.cluster import NAMES, Cluster
from tests.faults.crew import Crew
from tests.faults.model_server import MODES, ModelServer
from tests.faults.plan import Fault
from tests.faults.proxy import Proxy

_SESSION_S = 6.0
"""The members' session timeout: Kafka's least."""
_OUT_S = 75.0
"""A model server that refused the key is tried again after 60 s (`emollm.servers.roster`)."""
_JUMP_S = 7_200.0
_DLQ_BYTES = 8 * 1024 * 1024


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


class Kill9(Breakage):
    """A consumer is killed, and started again by its process manager."""

    families = ("members",)

    async def run(self, world: World, fault: Fault) -> None:
        async with world.crew.pick(fault.target, ready=False) as slot:
            assert slot.member is not None
            await world.crew.kill(slot.member)
            slot.member = None
            await asyncio.sleep(fault.seconds if fault.strength < 0.5 else 0)


class SigTerm(Breakage):
    """A consumer is told to stop, ends within its budget, and is away for a while."""

    families = ("members",)

    async def run(self, world: World, fault: Fault) -> None:
        async with world.crew.pick(fault.target) as slot:
            await world.crew.empty(slot)
            slot.held = True
            await asyncio.sleep(fault.seconds)


class SigTermTwice(Breakage):
    """A second SIGTERM: what is started is abandoned."""

    families = ("members",)

    async def run(self, world: World, fault: Fault) -> None:
        async with world.crew.pick(fault.target) as slot:
            await world.crew.empty(slot, signals=2)


class Zombie(Breakage):
    """A consumer is frozen beyond its session timeout, and wakes."""

    families = ("members",)

    async def run(self, world: World, fault: Fault) -> None:
        async with world.crew.pick(fault.target) as slot:
            assert slot.member is not None
            slot.member.signal(signal.SIGSTOP)
            await asyncio.sleep(_SESSION_S + fault.seconds)
            slot.member.signal(signal.SIGCONT)


class ZombieReplaced(Breakage):
    """While a consumer is frozen, another is started in its place; then it wakes."""

    families = ("members",)

    async def run(self, world: World, fault: Fault) -> None:
        crew = world.crew
        async with crew.pick(fault.target) as slot:
            old = slot.member
            assert old is not None
            old.signal(signal.SIGSTOP)
            await asyncio.sleep(fault.seconds)
            await crew.start(slot)
            await asyncio.sleep(_SESSION_S)
            old.signal(signal.SIGCONT)
            await asyncio.sleep(2.0 + 10.0 * fault.strength)
            # Two static ones throw each other out, until one of them stops and says why.
            crew.forgive(2, 10)
            if old.running:
                await crew.stop(old)
            else:
                crew.ended[f"replaced → {old.process.returncode}"] += 1


class Scale(Breakage):
    """Members join or leave for good."""

    families = ("members",)

    async def run(self, world: World, fault: Fault) -> None:
        for slot in world.crew.want(1 + fault.target % 4):
            if not slot.held:
                await world.crew.empty(slot)


class BrokerKill9(Breakage):
    """The broker is killed, and started again on its data."""

    families = ("broker",)

    async def run(self, world: World, fault: Fault) -> None:
        await world.cluster.kafka.kill()
        await asyncio.sleep(fault.seconds / 2)
        await world.cluster.kafka.restart()


class BrokerFrozen(Breakage):
    """The broker answers nobody for a while."""

    families = ("broker",)

    async def run(self, world: World, fault: Fault) -> None:
        pid = world.cluster.kafka.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(fault.seconds)
        os.kill(pid, signal.SIGCONT)


class Network(Breakage):
    """What lies between one consumer and the broker misbehaves."""

    families = ("network",)

    async def run(self, world: World, fault: Fault) -> None:
        async with world.crew.pick(fault.target, ready=False) as slot:
            proxy, slot.held = slot.proxy, False
            self.inject(proxy, fault)
            try:
                await asyncio.sleep(self.lasts(fault))
            finally:
                proxy.heal()
                self.after(proxy)

    def lasts(self, fault: Fault) -> float:
        return fault.seconds

    def inject(self, proxy: Proxy, fault: Fault) -> None:
        raise NotImplementedError

    def after(self, proxy: Proxy) -> None:
        """Nothing is left behind."""


class NetworkSlow(Network):
    """Each piece takes up to half a second, both ways."""

    def inject(self, proxy: Proxy, fault: Fault) -> None:
        proxy.delay_up_s = proxy.delay_down_s = 0.05 + 0.45 * fault.strength


class NetworkCut(Network):
    """Connections are reset and refused; for long enough to be missed, at times."""

    def lasts(self, fault: Fault) -> float:
        return fault.seconds * (2 if fault.strength > 0.5 else 1)

    def inject(self, proxy: Proxy, fault: Fault) -> None:
        proxy.refusing = True
        proxy.cut()


class NetworkHalfOpen(Network):
    """Connections stay open and carry nothing; in the end they turn out dead."""

    def lasts(self, fault: Fault) -> float:
        return fault.seconds + (_SESSION_S if fault.strength > 0.5 else 0)

    def inject(self, proxy: Proxy, fault: Fault) -> None:
        proxy.hold(up=True, down=True)

    def after(self, proxy: Proxy) -> None:
        proxy.cut()


class SlowDisk(Network):
    """What is produced is written and acknowledged seconds late; commits and fetches are not."""

    def inject(self, proxy: Proxy, fault: Fault) -> None:
        proxy.delay_produce_s = 1.0 + 3.0 * fault.strength


class LostAcknowledgements(Network):
    """What is sent arrives, but no answer comes back, and then the connection is gone."""

    def inject(self, proxy: Proxy, fault: Fault) -> None:
        proxy.hold(up=False, down=True)

    def after(self, proxy: Proxy) -> None:
        proxy.cut()


class Model(Breakage):
    """A model server misbehaves in one of its ways: one of the two, or both."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        # Two ways at once on one server would mend each other.
        self.families = ("model",)

    async def run(self, world: World, fault: Fault) -> None:
        servers = world.servers if fault.strength > 0.6 else [world.server(fault)]
        if self.mode == "401":
            # When both refuse the key, at once or within the minute for which a server stays out,
            # the consumer stops, as it says it does.
            world.crew.forgive(3, fault.seconds + _OUT_S)
        # Either all answers, as with a dead shard, or a few.
        share = 0.05 if 0.2 < fault.strength < 0.4 and self.mode != "401" else 1.0
        for server in servers:
            server.misbehave(self.mode, share)
        await asyncio.sleep(fault.seconds)
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


class DeadLettersTooLarge(Breakage):
    """The dead-letter topic refuses letters as too large; it is mended, and they start again."""

    families = ("broker", "members")

    async def run(self, world: World, fault: Fault) -> None:
        crew = world.crew
        crew.forgive(2, 60)
        crew.resting = True
        await world.cluster.limit(NAMES.dead_letters, 150)
        await asyncio.sleep(2 + fault.seconds)
        await world.cluster.limit(NAMES.dead_letters, _DLQ_BYTES)
        crew.resting = False
        crew.forgiven[2] = 0.0
        crew.forgive(2, 10)


class DeadLettersMissing(Breakage):
    """There is no dead-letter topic when consumers start: they stop, it is made, they start.

    Its letters are read before it is deleted, so all consumers are stopped first.
    """

    families = ("broker", "members")

    async def run(self, world: World, fault: Fault) -> None:
        crew = world.crew
        crew.resting = True
        await asyncio.gather(*(crew.empty(slot) for slot in crew.up()))
        await world.before_deletion()
        await world.cluster.delete(NAMES.dead_letters)
        crew.forgive(2, 60)
        crew.resting = False
        await asyncio.sleep(3 + fault.seconds)
        await world.cluster.make_topics()
        crew.forgiven[2] = 0.0
        crew.forgive(2, 10)


class ClockJumps(Breakage):
    """Every consumer's wall clock jumps two hours ahead or back, and later to the right time."""

    families = ("clock",)

    async def run(self, world: World, fault: Fault) -> None:
        jump = _JUMP_S if fault.strength > 0.5 else -_JUMP_S
        world.crew.clock.write_text(f"{jump}", encoding="ascii")
        await asyncio.sleep(fault.seconds)
        world.crew.clock.write_text("0", encoding="ascii")


FAULTS: dict[str, Breakage] = {
    "consumer: kill -9": Kill9(),
    "consumer: SIGTERM": SigTerm(),
    "consumer: SIGTERM twice": SigTermTwice(),
    "consumer: frozen beyond its session": Zombie(),
    "consumer: frozen and replaced": ZombieReplaced(),
    "members join or leave": Scale(),
    "broker: kill -9 and restart": BrokerKill9(),
    "broker: frozen": BrokerFrozen(),
    "network: slow": NetworkSlow(),
    "network: cut": NetworkCut(),
    "network: half-open": NetworkHalfOpen(),
    "broker: slow disk": SlowDisk(),
    "broker: acknowledgements lost": LostAcknowledgements(),
    **{f"model: {mode}": Model(mode) for mode in MODES},
    "model: one of two gone": ModelGone(),
    "model: both restarted": ModelRestart(),
    "dead letters: refused as too large": DeadLettersTooLarge(),
    "dead letters: topic missing": DeadLettersMissing(),
    "clock: jumps": ClockJumps(),
}
