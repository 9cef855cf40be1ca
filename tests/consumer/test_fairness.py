"""A partition with a few posts beside one with a backlog: the whole consumer, in simulated time."""

import asyncio

from tests.consumer.simulated import consuming, server
from tests.emollm.pool.simulation import simulated


@simulated
async def test_a_few_posts_are_served_before_what_is_under_way_of_a_backlog() -> None:
    """The server takes 40 prompts a second, some 12 posts; 512 posts under way are 40 s of it."""
    async with consuming(server(at_once=16)) as consumer:
        await consumer.posts(1_000, per_s=10_000.0)
        await asyncio.sleep(10.0)
        waits = []
        for _ in range(5):
            before = len(consumer.seen.ages)
            await consumer.posts(1, per_s=1.0, text="One of a few.".format, partition=1)
            await asyncio.sleep(4.0)
            waits.append(min(consumer.seen.ages[before:]))
        assert max(waits) < 5.0
        assert consumer.seen.dead_letters == []
