"""Records that are no posts are settled and counted; what isn't a fault leaves the fuse alone."""

from collections import Counter

from consumer.options import FuseLimits
from tests.consumer.delivery.rig import Rig, limits, running


async def test_skipped_records_are_settled_and_counted_and_never_published() -> None:
    rig = Rig()
    rig.kafka.produce("posts", [b"skip-1", b"post", b"skip-2"])
    async with running(rig):
        await rig.turn(2)
        assert rig.committed == 3
        assert rig.events() == [b"post"]
        assert rig.kafka.values("affect.dlq") == []
        assert sum(rig.seen.skipped_by_rule.values()) == 2
        assert rig.seen.skipped_by_rule == Counter(where=2)


async def test_the_fuse_does_not_count_skipped_records() -> None:
    rig = Rig(service_limits=limits(fuse=FuseLimits(window=4, share=0.5)))
    rig.kafka.produce("posts", [b"post"] + [b"skip"] * 50)
    async with running(rig):
        await rig.turn(3)
        assert rig.committed == 51
        assert rig.service.error is None


async def test_skipped_records_do_not_dilute_the_fuse() -> None:
    rig = Rig(service_limits=limits(fuse=FuseLimits(window=4, share=0.9)))
    rig.kafka.produce("posts", ([b"skip"] * 9 + [b"poison"]) * 20)
    rig.start()
    assert await rig.end() == 3


async def test_blank_posts_in_a_row_do_not_blow_the_fuse() -> None:
    rig = Rig(service_limits=limits(fuse=FuseLimits(window=20, share=0.9)))
    rig.kafka.produce("posts", [b"blank"] * 250)
    async with running(rig):
        await rig.turn(10)
        assert rig.committed == 250
        assert len(rig.kafka.values("affect.dlq")) == 250
