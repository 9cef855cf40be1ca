"""The end of the service: its clients are stopped, and the log says why and what to do."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import structlog

from consumer.errors import exit_code
from consumer.telemetry import log_events
from runtime.clock import Clock, wait_all
from runtime.errors import QuotableError

_log = structlog.get_logger("consumer")


def log_end(error: BaseException | None, *, joined: bool, **counts: int) -> None:
    """Log the end; `error` is why it ended by itself, `joined` whether it ever was in its group."""
    if error is None:
        _log.info(log_events.STOPPED, **counts)
        return
    known = isinstance(error, QuotableError)
    facts = {
        "error": type(error).__name__,
        # The message of an error that nobody foresaw may quote a post.
        "reason": str(error) if known else "unexpected: see the traceback",
        "exit_code": exit_code(error),
        "exc_info": None if known else error,
    }
    if joined:
        _log.error(log_events.FAILED, **facts, **counts)
    else:
        _log.error(log_events.NOT_STARTED, **facts)


async def ended(
    clock: Clock, stopping: Iterable[Coroutine[Any, Any, None]], within_s: float
) -> list[BaseException]:
    """Let these end side by side, and cancel what is late; give what they raised."""
    tasks = [asyncio.ensure_future(one) for one in stopping]
    for late in await wait_all(clock, tasks, within_s):
        late.cancel()
    return [
        error
        for task in tasks
        if task.done() and not task.cancelled() and (error := task.exception()) is not None
    ]
