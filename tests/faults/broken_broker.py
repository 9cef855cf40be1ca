"""Faults of the broker, and of what lies between it and one consumer."""

import asyncio
import os
import signal

from tests.faults.breakage import SESSION_S, Breakage, World
from tests.faults.plan import Fault
from tests.faults.proxy import Proxy


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
        return fault.seconds + (SESSION_S if fault.strength > 0.5 else 0)

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
