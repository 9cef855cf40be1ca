"""No background work ends without somebody noticing."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from runtime.background import BackgroundTasks, unended, watched_callbacks
from runtime.clock import SystemClock, sleep
from runtime.errors import Broken
from tests.runtime.fake_clock import settle


async def returns() -> None: ...


async def raises() -> None:
    raise ZeroDivisionError


async def awaits_what_was_cancelled() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def goes_on() -> None:
    await asyncio.get_running_loop().create_future()


ENDINGS: list[tuple[Callable[[], Coroutine[Any, Any, None]], type[Exception]]] = [
    (returns, Broken),
    (raises, ZeroDivisionError),
    (awaits_what_was_cancelled, Broken),
]


@pytest.mark.parametrize(("work", "error"), ENDINGS)
async def test_a_task_that_ends_unasked_is_a_failure(
    work: Callable[[], Coroutine[Any, Any, None]], error: type[Exception]
) -> None:
    failures: list[BaseException] = []
    tasks = BackgroundTasks(failures.append)
    tasks.start("one", work())
    await settle()
    assert [type(one) for one in failures] == [error]


async def test_a_task_that_is_cancelled_when_asked_is_none() -> None:
    failures: list[BaseException] = []
    tasks = BackgroundTasks(failures.append)
    tasks.start("one", goes_on())
    await tasks.cancel()
    assert failures == []


@pytest.mark.parametrize(("work", "error"), ENDINGS)
async def test_a_child_of_a_task_group_that_ends_unasked_ends_the_group(
    work: Callable[[], Coroutine[Any, Any, None]], error: type[Exception]
) -> None:
    with pytest.RaisesGroup(error):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(unended("one", work()))
            tasks.create_task(unended("another", goes_on()))


async def test_a_child_that_is_cancelled_when_asked_ends_quietly() -> None:
    async with asyncio.TaskGroup() as tasks:
        child = tasks.create_task(unended("one", goes_on()))
        ending = tasks.create_task(unended("another", returns(), may_end=True))
        await ending
        child.cancel()


async def test_what_a_timer_or_callback_of_ours_raises_is_told() -> None:
    failures: list[BaseException] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    with watched_callbacks(failures.append):
        clock = SystemClock()
        # `sleep` is ours: what its timer raises has one of our frames.
        waiting = asyncio.ensure_future(sleep(clock, 0.0))
        await waiting
        loop.call_soon(_calls_ours)
        await settle()
    assert [type(error) for error in failures] == [Broken]
    assert loop.get_exception_handler() == before


async def test_what_a_callback_of_a_library_raises_is_logged_as_before() -> None:
    failures: list[BaseException] = []
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: told.append(context))
    try:
        with watched_callbacks(failures.append):
            loop.call_soon(lambda: 1 / 0)  # of no package of ours
            await settle()
    finally:
        loop.set_exception_handler(before)
    assert failures == []
    assert [type(context["exception"]) for context in told] == [ZeroDivisionError]


def _calls_ours() -> None:
    coroutine = unended("a callback", returns())
    try:
        coroutine.send(None)
    finally:
        coroutine.close()
