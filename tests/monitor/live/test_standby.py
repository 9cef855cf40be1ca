"""A second monitor takes over: nothing is lost or written twice, a zombie writes nothing."""

import signal
from pathlib import Path

import msgspec

from schemas.alert import Alert
from tests.monitor.live.stage import ACTIVE, folded, make_stage, mood

HOUR = 3_600.0
CALM = 4 * HOUR
"""Long enough for the baseline to be warm."""


async def test_a_standby_takes_over_in_the_middle_of_an_alert(
    bootstrap: str, tmp_path: Path
) -> None:
    """The active one hangs, is fenced, comes back as standby; then the other one is killed."""
    stage = await make_stage(bootstrap, tmp_path, 'history = "alert"\nwarm_s = 7200')
    # Hours are written in a moment here: a partition must not be taken for idle before its part of
    # them has been fetched, however busy the machine is. So none is, and the last posts, which all
    # partitions have some of, close what came before them.
    text = stage.config.read_text()
    assert "idle_after_s = 0.2" in text
    stage.config.write_text(text.replace("idle_after_s = 0.2", "idle_after_s = 600"))
    await stage.write(mood(0, CALM, every_s=40, negative=0.3))
    async with stage.process() as first:
        await first.wait_for_line(ACTIVE)
        async with stage.process() as second:
            await second.wait_for_event("standing_by")
            storm = CALM
            await stage.write(mood(storm, storm + 900, every_s=4, negative=0.8))
            await stage.alerts_until("firing")
            first.signal(signal.SIGSTOP)  # as a machine that hangs
            await second.wait_for_line(ACTIVE)
            await stage.write(mood(storm + 900, storm + 2_400, every_s=4, negative=0.8))
            first.signal(signal.SIGCONT)
            await first.wait_for_event("fenced")
            await second.kill()
        await stage.write(mood(storm + 2_400, storm + 3 * HOUR, every_s=40, negative=0.3))
        end = storm + 3 * HOUR + 35
        await stage.write(mood(end, end + 4, every_s=0.1, negative=0.3))
        await first.wait_for_line(ACTIVE, times=2)
        await stage.alerts_until("resolved")
        expected = await stage.one_pass()
        keys = {f"{one.track}|{one.start:%Y-%m-%dT%H:%M:%SZ}".encode() for one in expected.windows}
        written = folded(await stage.windows_until(keys))
    assert list(written.values()) == expected.windows
    records = await stage.everything(stage.names.alerts)
    alerts = [msgspec.json.decode(one.value or b"", type=Alert) for one in records]
    assert [one.id for one in alerts] == [one.id for one in expected.alerts]
    assert [one.transition for one in alerts][-1] == "resolved"
    assert {one.alert_id.encode() for one in alerts} == {one.key for one in records}
