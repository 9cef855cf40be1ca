"""Every task of a running consumer, cancelled unasked, ends it with status 1: none is left out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from aiohttp import web
from structlog.testing import capture_logs

from consumer.app import run
from tests.consumer.test_app import kafka, post, settings
from tests.polling import until
from tests.tgi import FakeTgi

ROOT = Path(__file__).parents[2]
OURS = tuple(f"{ROOT / name}/" for name in ("consumer", "emollm", "runtime"))
LEAST = {
    "Committer.run",
    "Isolation.run",
    "LogEnds.run",
    "Poller.run",
    "Pool._work",
    "Progress.report",
    "TopicWatch.run",
    "Watchdog.run",
}
"""Are among them, or the test looks at the wrong place."""


@asynccontextmanager
async def consuming(*urls: str) -> AsyncIterator[tuple[asyncio.Task[int], dict[str, Any]]]:
    """A consumer at work, and its tasks by the name of what they run."""
    ready = asyncio.get_running_loop().create_future()
    before = asyncio.all_tasks()

    def tasks() -> dict[str, Any]:
        found = {}
        for task in asyncio.all_tasks() - before:
            coroutine = cast("Any", task.get_coro())
            if coroutine.cr_code.co_filename.startswith(OURS):
                found[coroutine.__qualname__] = task
        found.pop("run", None)
        return found

    running = asyncio.create_task(
        run(
            settings(urls[0], model={"servers": list(urls)}),
            signals=False,
            on_ready=ready.set_result,
            make_brokers=kafka(*(post(number) for number in range(5))).brokers,
        )
    )
    try:
        await ready
        await until(lambda: tasks().keys() >= LEAST)
        yield running, tasks()
    finally:
        running.cancel()
        await asyncio.wait((running,))


async def test_every_task_that_is_cancelled_unasked_ends_the_consumer_with_status_1() -> None:
    tried: set[str] = set()
    end = asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/generate" and "happy few" in await request.text():
            await end.wait()  # posts wait for their answers; the canary is answered
        return None

    async with FakeTgi(failure=hold) as one, FakeTgi(failure=hold) as two:
        while True:
            with capture_logs() as logs:
                async with consuming(one.url, two.url) as (running, tasks):
                    left = sorted(tasks.keys() - tried)
                    if not left:
                        end.set()  # else the posts would be waited for
                        break
                    tried.add(left[0])
                    tasks[left[0]].cancel()
                    async with asyncio.timeout(20):
                        assert await running == 1, left[0]
            assert [log["exit_code"] for log in logs if log["event"] == "failed"] == [1]
    assert tried >= LEAST
