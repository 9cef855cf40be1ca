"""The targets of the configuration are notified of an alert, once, by the running monitor."""

import asyncio
from pathlib import Path

from tests.monitor.live.stage import ACTIVE, make_stage, mood
from tests.monitor.notify.receiver import Receiver, receiving
from tests.process import WAIT_S

CALM = 4 * 3_600.0


async def test_a_webhook_is_told_of_the_alert_of_a_storm_and_of_its_end(
    bootstrap: str, tmp_path: Path
) -> None:
    async with receiving() as receiver:
        receiver.answers.append(503)  # the first try: it is made again
        notify = (
            'history = "alert"\nwarm_s = 7200\n[[monitor.notify]]\nname = "ours"\n'
            f'kind = "webhook"\nurl = "{receiver.url}/mood"\ngroup_s = 0\n'
        )
        stage = await make_stage(bootstrap, tmp_path, notify)
        text = stage.config.read_text()  # as in test_standby: hours are written in a moment
        stage.config.write_text(text.replace("idle_after_s = 0.2", "idle_after_s = 20"))
        await stage.write(mood(0, CALM, every_s=40, negative=0.3))
        async with stage.process() as monitor:
            await monitor.wait_for_line(ACTIVE)
            await stage.write(mood(CALM, CALM + 900, every_s=4, negative=0.8))
            fired = (await stage.alerts_until("firing"))[-1]
            await notified(receiver, fired.id, times=2)  # refused once, taken once
            await stage.write(mood(CALM + 900, CALM + 3 * 3_600, every_s=40, negative=0.3))
            ended = (await stage.alerts_until("resolved"))[-1]
            await notified(receiver, ended.id, times=1)
    ids = [headers["webhook-id"] for headers in receiver.headers]
    assert sorted(ids) == sorted([fired.id, fired.id, ended.id])


async def notified(receiver: Receiver, id_: str, *, times: int) -> None:
    """Wait until the receiver was asked so often to take this one."""
    async with asyncio.timeout(WAIT_S):
        while [headers["webhook-id"] for headers in receiver.headers].count(id_) < times:
            receiver.came.clear()
            await receiver.came.wait()
