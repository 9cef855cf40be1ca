"""The events' topic gets more partitions while the monitor runs."""

from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from tests.monitor.live.stage import ACTIVE, Stage, closing, folded, make_stage, posts


async def test_new_partitions_are_read_while_it_runs_and_nothing_is_lost_or_late(
    bootstrap: str, tmp_path: Path
) -> None:
    stage = await make_stage(bootstrap, tmp_path)
    await stage.write(posts(0, 200))
    async with stage.process() as monitor:
        await monitor.wait_for_line(ACTIVE)
        before = list(await stage.oracle())
        await stage.windows_until(before[: len(before) // 2])
        await grow(stage, 6)
        grown = await monitor.wait_for_event("events_partitions_grown")
        await monitor.wait_for_line(ACTIVE, times=2)
        await stage.write([*posts(200, 400), *closing(10_000, 1_200)])
        expected = await stage.oracle()
        records = await stage.windows_until(expected)
    assert (grown["before"], grown["partitions"]) == (4, 6)
    written = folded(records)
    assert written == expected
    assert len(records) == len(expected)  # nothing was written twice
    read = {part.partition for window in written.values() for part in window.offsets}
    assert read == set(range(6))


async def grow(stage: Stage, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.broker.bootstrap)
    await admin.start()
    try:
        await admin.create_partitions({stage.names.events: NewPartitions(partitions)})
    finally:
        await admin.close()
