"""What tells of alerts is watched: one part that ends unasked ends the term."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from monitor.live.telling import Telling
from monitor.notify import Notifier
from runtime.errors import Broken
from tests.monitor.notify.alerts import alert
from tests.monitor.notify.test_notifier import FakeTarget, options
from tests.runtime.fake_clock import FakeClock


def telling(feeding: asyncio.Task[None], *queues: asyncio.Task[None]) -> Telling:
    made = Telling.__new__(Telling)
    made._feeding = feeding
    made._notifier = cast("Any", SimpleNamespace(tasks=queues, tell_unmuted=lambda: None))
    return made


async def goes_on() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("which", [0, 1])
async def test_a_part_that_is_cancelled_unasked_is_told(which: int) -> None:
    parts = [asyncio.create_task(goes_on(), name=name) for name in ("feed", "notify a")]
    running = asyncio.create_task(telling(*parts).run())
    await asyncio.sleep(0)
    parts[which].cancel()
    with pytest.raises(Broken, match=parts[which].get_name()):
        await running
    for part in parts:
        part.cancel()


async def test_what_is_told_at_the_end_is_told_before_the_last_commit() -> None:
    """Else the next monitor tells it again."""
    target = FakeTarget()
    notifier = Notifier([(target, options(group_s=3_600))], clock=FakeClock())
    notifier.start()
    offered, stopped = notifier.offer(alert()), asyncio.Event()
    told: list[bool] = []

    class Feed:
        def stop(self) -> None:
            told.append(offered.done())
            stopped.set()

    async def feeding() -> None:
        await stopped.wait()

    made = telling(asyncio.create_task(feeding()))
    made._notifier, made._feed = notifier, cast("Any", Feed())
    await made._end()
    assert (len(target.taken), told) == (1, [True])


async def test_what_a_part_raises_is_raised() -> None:
    async def breaks() -> None:
        raise ZeroDivisionError

    feeding, queue = asyncio.create_task(goes_on()), asyncio.create_task(breaks())
    with pytest.raises(ZeroDivisionError):
        await telling(feeding, queue).run()
    feeding.cancel()
