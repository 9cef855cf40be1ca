"""Faults of the dead-letter topic: the consumers must stop, and go on once it is repaired."""

import asyncio

from runtime.errors import Misconfigured
from tests.faults.breakage import Breakage, World
from tests.faults.cluster import NAMES
from tests.faults.plan import Fault

_TOO_SMALL, _MENDED = 150, 8 * 1024 * 1024
"""Bytes: below any letter's headers, and as `infra.kafka` makes the topic."""

_UNDER_WAY_S = 0.5
"""For the broker to write what it has been sent: it takes milliseconds."""


class DeadLettersTooLarge(Breakage):
    """The dead-letter topic refuses letters as too large; it is repaired, and they start again."""

    families = ("broker", "members")

    async def run(self, world: World, fault: Fault) -> None:
        crew = world.crew
        crew.forgive(2, 60, Misconfigured)
        crew.resting = True
        await world.cluster.limit(NAMES.dead_letters, _TOO_SMALL)
        await asyncio.sleep(2 + fault.seconds)
        await world.cluster.limit(NAMES.dead_letters, _MENDED)
        crew.resting = False
        crew.repaired(2, Misconfigured)


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
        crew.forgive(2, 60, Misconfigured)
        crew.resting = False
        await asyncio.sleep(3 + fault.seconds)
        await world.cluster.make_topics()
        crew.repaired(2, Misconfigured)


class DeadLettersDeleted(Breakage):
    """The dead-letter topic is deleted under running consumers, and made again.

    They may stop (exit 2: the topic is missing) or go on once it is there again. So that its
    letters can be read to the last before they go, no request of theirs gets to the broker for
    the second or two in which it is deleted.
    """

    families = ("broker", "members", "network")

    async def run(self, world: World, fault: Fault) -> None:
        crew, proxies = world.crew, world.cluster.proxies
        crew.forgive(2, 60, Misconfigured)
        for proxy in proxies:
            proxy.hold(up=True, down=False)
        try:
            await asyncio.sleep(_UNDER_WAY_S)
            await world.before_deletion()
            await world.cluster.delete(NAMES.dead_letters)
        finally:
            for proxy in proxies:
                proxy.heal()
        # At times for longer than the members' `request_timeout_s`.
        await asyncio.sleep(fault.seconds * (4 if fault.strength > 0.6 else 1))
        await world.cluster.make_topics()
        crew.repaired(2, Misconfigured)
