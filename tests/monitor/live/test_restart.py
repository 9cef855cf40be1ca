"""A monitor that is killed loses nothing and counts nothing twice: compared with one pass."""

import dataclasses
from pathlib import Path

from structlog.testing import capture_logs

from infra.kafka import create_topics, default_topics
from tests.monitor.live.stage import ACTIVE, closing, folded, make_stage, posts
from tests.topics import topic_names


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


async def test_where_the_windows_topic_was_made_again_the_baselines_go_on(
    bootstrap: str, tmp_path: Path
) -> None:
    """Without them each track would be learnt again, and an open alert would have no end."""
    stage = await make_stage(bootstrap, tmp_path)
    await stage.write([*posts(0, 300), *closing(10_000, 1_200)])
    async with stage.running():
        await stage.windows_until(await stage.oracle())
    before = set(await stage.oracle())
    (again,) = [one for one in default_topics(topic_names()) if "windows" in one.name]
    await create_topics({"bootstrap_servers": bootstrap}, [again])
    stage.names = dataclasses.replace(stage.names, windows=again.name)
    await stage.write([*posts(600, 700), *closing(20_000, 2_400)])
    expected = await stage.oracle()
    with capture_logs() as logs:
        async with stage.running(windows_topic=again.name):
            records = await stage.windows_until(set(expected) - before)
    (active,) = [one for one in logs if one["event"] == "active"]
    assert (active["tracks"], active["windows"]) == (3, 0)
    assert folded(records) == {key: window for key, window in expected.items() if key not in before}
