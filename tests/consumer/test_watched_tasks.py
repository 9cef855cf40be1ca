"""Every task of a running consumer, cancelled unasked, ends it with status 1: none is left out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from consumer.app import run
from tests.consumer.test_app import kafka, post, settings
from tests.polling import until
from tests.tgi import FakeTgi

ROOT = Path(__file__).parents[2]
OURS: tuple[str, ...] = ("consumer", "emollm", "runtime")
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
async def consuming(
    least: set[str], of: tuple[str, ...], **changed: Any
) -> AsyncIterator[tuple[asyncio.Task[int], dict[str, Any]]]:
    """A consumer at work, and its tasks by the name of what they run."""
    ready = asyncio.get_running_loop().create_future()
    before = asyncio.all_tasks()

    def tasks() -> dict[str, Any]:
        found = {}
        for task in asyncio.all_tasks() - before:
            coroutine = cast("Any", task.get_coro())
            if coroutine.cr_code.co_filename.startswith(tuple(f"{ROOT / one}/" for one in of)):
                found[coroutine.__qualname__] = task
        found.pop("run", None)
        return found

    running = asyncio.create_task(
        run(
            settings(changed["model"]["servers"][0], **changed),
            signals=False,
            on_ready=ready.set_result,
            make_brokers=kafka(*(post(number) for number in range(5))).brokers,
        )
    )
    try:
        await ready
        await until(lambda: tasks().keys() >= least)
        yield running, tasks()
    finally:
        running.cancel()
        await asyncio.wait((running,))


@pytest.mark.parametrize("with_what", ["nothing more", "a second model", "exactly-once"])
async def test_every_task_that_is_cancelled_unasked_ends_the_consumer_with_status_1(
    with_what: str,
) -> None:
    tried: set[str] = set()
    end = asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/generate" and "happy few" in await request.text():
            await end.wait()  # posts wait for their answers; the canary is answered
        return None

    async with FakeTgi(failure=hold) as one, FakeTgi(failure=hold) as two, FakeTgi() as small:
        model: dict[str, Any] = {"servers": [one.url, two.url]}
        changed = {"model": model}
        least, of = set(LEAST), OURS
        if with_what == "a second model":
            # Its pool may end: it is opened again (test_kept_pool.py).
            model["second"] = {"servers": [small.url]}
            least, of = least - {"Pool._work"} | {"KeptPool.run"}, ("consumer", "runtime")
        elif with_what == "exactly-once":
            changed["delivery"] = {"guarantee": "exactly-once"}
            least = least - {"Committer.run"} | {"ExactlyOnce.run", "PartitionTransactions.run"}
        while True:
            with capture_logs() as logs:
                async with consuming(least, of, **changed) as (running, tasks):
                    left = sorted(tasks.keys() - tried)
                    if not left:
                        end.set()  # else the posts would be waited for
                        break
                    tried.add(left[0])
                    tasks[left[0]].cancel()
                    await asyncio.wait((running,), timeout=60)
                    assert running.done(), left[0]
                    assert running.result() == 1, left[0]
            assert [log["exit_code"] for log in logs if log["event"] == "failed"] == [1]
    assert tried >= least
