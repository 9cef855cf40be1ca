"""Running a broker in the foreground: what `emostream broker` calls."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

import structlog

from infra.kafka.broker import EmbeddedKafka
from infra.kafka.errors import BrokerStartError
from infra.kafka.events import BrokerEvent
from infra.kafka.settings import BrokerSettings

_log = structlog.get_logger(__name__)


def ready_line(broker: EmbeddedKafka) -> str:
    """Write the one line for a person or a script that a broker is ready."""
    return f"Kafka ready at {broker.bootstrap} (data: {broker.data_dir}, log: {broker.log_path})"


async def run_broker(
    settings: BrokerSettings,
    on_ready: Callable[[EmbeddedKafka], None],
) -> None:
    """Run a broker until SIGTERM or SIGINT, then stop it in order and return.

    `on_ready` is called once, when it answers. A signal while it starts gives the start up. Call
    it in the main thread: it takes both signals over while it runs.

    Raises:
        BrokerStartError: Kafka ended by itself, at its start or later; with its log's tail.
        BrokerError: as `EmbeddedKafka.start`.
    """
    asked = asyncio.Event()
    with _signals(asked):
        broker = EmbeddedKafka(settings)
        try:
            if await _unless(asked, asyncio.create_task(broker.start())):
                on_ready(broker)
                if await _unless(asked, ended := asyncio.create_task(broker.wait())):
                    raise _died(broker, ended.result())
        finally:
            await broker.stop()


async def _unless(asked: asyncio.Event, task: asyncio.Task[int] | asyncio.Task[None]) -> bool:
    """Wait for the task, True; or for the event, False: the task is then cancelled."""
    waiting = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        if asked.is_set():
            return False
        task.result()
        return True
    finally:
        waiting.cancel()
        if not task.done():
            task.cancel()
        await asyncio.gather(waiting, task, return_exceptions=True)


def _died(broker: EmbeddedKafka, code: int) -> BrokerStartError:
    kept = broker.keep_log()
    _log.error(BrokerEvent.DIED, code=code, log=str(kept))
    reason = f"Kafka ended by itself (exit {code})"
    return BrokerStartError(reason, log_path=kept, log_tail=broker.log_tail())


@contextlib.contextmanager
def _signals(asked: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, asked.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
