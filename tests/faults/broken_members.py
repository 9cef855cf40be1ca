"""Faults of the consumers themselves: killed, stopped, frozen, joining, leaving, out of time."""

import asyncio
import signal

from runtime.errors import Misconfigured
from tests.faults.breakage import SESSION_S, Breakage, World
from tests.faults.plan import Fault

_JUMP_S = 7_200.0


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
            await asyncio.sleep(SESSION_S + fault.seconds)
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
            await asyncio.sleep(SESSION_S)
            old.signal(signal.SIGCONT)
            await asyncio.sleep(2.0 + 10.0 * fault.strength)
            # Two static ones throw each other out, until one of them stops and says why.
            crew.forgive(2, 10, Misconfigured)
            if old.running:
                await crew.stop(old)
            else:
                crew.note_end(old, by="replaced")


class Scale(Breakage):
    """Members join or leave for good."""

    families = ("members",)

    async def run(self, world: World, fault: Fault) -> None:
        for slot in world.crew.want(1 + fault.target % 4):
            if not slot.held:
                await world.crew.empty(slot)


class ClockJumps(Breakage):
    """Every consumer's wall clock jumps two hours ahead or back, and later to the right time."""

    families = ("clock",)

    async def run(self, world: World, fault: Fault) -> None:
        jump = _JUMP_S if fault.strength > 0.5 else -_JUMP_S
        world.crew.clock.write_text(f"{jump}", encoding="ascii")
        await asyncio.sleep(fault.seconds)
        world.crew.clock.write_text("0", encoding="ascii")
