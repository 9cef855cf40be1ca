"""Deletions on the input topic, as live sources write them: skipped and settled."""

from runtime.kafka.protocol import Partition
from tests.consumer.simulated import OPTIONS, consuming, server
from tests.emollm.pool.simulation import simulated


@simulated
async def test_a_tombstone_is_skipped_and_settled_and_asks_the_model_nothing() -> None:
    model = server()
    async with consuming(model) as consumer:
        post = b'{"id":"p1","text":"Number one."}'
        consumer.kafka.produce("posts", [None, post, None, None])
        await consumer.finished(1)
        await consumer.posts(1, per_s=1.0)
        await consumer.finished(2)
        assert consumer.seen.dead_letters == []
        assert len(consumer.kafka.values("affect.events")) == 2
    committed = consumer.kafka.groups[OPTIONS.group_id].committed
    assert committed[Partition("posts", 0)] == 5
