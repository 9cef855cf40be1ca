"""Posts about which a model server never answers, whatever else it does."""

import asyncio

from consumer.dead_letters import Reason
from tests.faults.breakage import Breakage, World
from tests.faults.extras import Due
from tests.faults.model_server import poisonous
from tests.faults.plan import Fault


class Poison(Breakage):
    """One or two posts whose prompts always end the same way: each must become a dead letter."""

    def __init__(self, way: str) -> None:
        self.way = way

    async def run(self, world: World, fault: Fault) -> None:
        partition = fault.target % world.cluster.partitions
        count = 2 if fault.strength > 0.5 else 1
        await world.extras.send(
            f"poison {self.way}",
            poisonous(self.way),
            partition=partition,
            count=count,
            due=Due(dead_letter=Reason.FAILED_ALONE),
        )
        # A verdict takes ten seconds at least: what comes meanwhile is counted as beside it.
        await asyncio.sleep(5.0 + fault.seconds)
