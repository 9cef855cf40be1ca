"""A monitor that is killed loses nothing and counts nothing twice: compared with one pass."""

from pathlib import Path

from tests.monitor.live.stage import ACTIVE, closing, folded, make_stage, posts


async def test_kill_9_neither_loses_nor_counts_twice(bootstrap: str, tmp_path: Path) -> None:
    stage = await make_stage(bootstrap, tmp_path)
    number, step = 0, 300
    for _ in range(2):
        async with stage.process() as monitor:
            await monitor.wait_for_line(ACTIVE)
            await stage.write(posts(number, number + step))
            number += step
            closed = list(await stage.oracle())
            await stage.windows_until(closed[: len(closed) // 2])
            await monitor.kill()
    await stage.write(closing(10_000, at_s=2 * number + 600))
    async with stage.process() as monitor:
        await monitor.wait_for_line(ACTIVE)
        expected = await stage.oracle()
        records = await stage.windows_until(expected)
        assert await monitor.stop() == 0
    written = folded(records)
    assert written == expected
    assert sum(window.posts for window in written.values()) == number
    # A window that was written again has the same content.
    values = {(record.key, record.value) for record in records}
    assert len(values) == len(written)


async def test_what_is_stopped_in_order_goes_on_where_it_was(
    bootstrap: str, tmp_path: Path
) -> None:
    stage = await make_stage(bootstrap, tmp_path)
    await stage.write(posts(0, 400))
    async with stage.process() as monitor:
        await monitor.wait_for_line(ACTIVE)
        await stage.windows_until(await stage.oracle())
        assert await monitor.stop() == 0
    baselines = await stage.everything(stage.names.baselines)
    assert {record.key for record in baselines} == {b"trains", b"planes", b"buses"}
    await stage.write([*posts(400, 500), *closing(10_000, at_s=2_000)])
    async with stage.process() as monitor:
        await monitor.wait_for_line(ACTIVE)
        expected = await stage.oracle()
        records = await stage.windows_until(expected)
    assert folded(records) == expected
    assert len(records) == len(expected)
    (active,) = [one for one in monitor.events if one["event"] == "active"]
    assert active["tracks"] == 3
