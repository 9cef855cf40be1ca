"""A real monitor: what fires is told when its mute ends, and is stale when no event comes."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor.saying import mute_of, mute_record
from runtime.kafka.producing import kafka_producer
from schemas.alert import Alert
from tests.monitor.live.stage import ACTIVE, Stage, make_stage, mood
from tests.monitor.live.test_telling import notified
from tests.monitor.notify.receiver import Receiver, receiving

CALM = 3_600.0
STORM = CALM + 600
"""Where the storm that is written at once ends; what goes on until it was told follows."""


async def mute(stage: Stage, until: datetime) -> None:
    """As `emostream alerts mute` does."""
    one = mute_of("trains", by="test", at=datetime.now(UTC), until=until)
    record = mute_record(stage.names.mutes, "trains", one)
    async with kafka_producer(stage.broker) as producer:
        await (await producer.send(record.topic, key=record.key, value=record.value))


async def told_once_unmuted(stage: Stage, receiver: Receiver) -> Alert:
    """End the mute of what fires; give the transition that is told then."""
    fired = (await stage.alerts_until("firing"))[-1]
    ends = datetime.now(UTC) + timedelta(seconds=1)
    await mute(stage, ends)
    await notified(receiver, fired.id, times=1)
    assert datetime.now(UTC) >= ends
    return fired


async def test_the_end_of_a_mute_and_total_silence_are_told(bootstrap: str, tmp_path: Path) -> None:
    async with receiving() as receiver:
        stage = await make_stage(
            bootstrap,
            tmp_path,
            'history = "alert"\nwarm_s = 3000\nsilence_s = 10\n[[monitor.notify]]\nname = "ours"\n'
            f'kind = "webhook"\nurl = "{receiver.url}/mood"\ngroup_s = 0\n',
        )
        text = stage.config.read_text()  # as in test_standby: hours are written in a moment
        stage.config.write_text(text.replace("idle_after_s = 0.2", "idle_after_s = 20"))
        await stage.write(mood(0, CALM, every_s=0.5, negative=0.3))
        await mute(stage, datetime.now(UTC) + timedelta(hours=1))
        async with stage.process() as monitor:
            await monitor.wait_for_line(ACTIVE)
            await stage.write(mood(CALM, STORM, every_s=0.25, negative=0.95))
            telling, at = asyncio.ensure_future(told_once_unmuted(stage, receiver)), STORM
            while not telling.done():
                # The monitor looks for ended mutes every 5 s: what is stale by then isn't told.
                await stage.write(mood(at, at + 1, every_s=0.25, negative=0.95))
                at += 1
                await asyncio.wait((telling,), timeout=1)
            fired = await telling
            stale = (await stage.alerts_until("stale"))[-1]
            await notified(receiver, stale.id, times=1)
            assert await monitor.stop() == 0
    assert stale.alert_id == fired.alert_id
    states = [one.transition for one in await stage.alerts_until("stale")]
    assert "resolved" not in states
    assert [headers["webhook-id"] for headers in receiver.headers] == [fired.id, stale.id]
