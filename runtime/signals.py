"""SIGTERM and SIGINT, while the service runs."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def caught_signals(on_signal: Callable[[str], None]) -> Iterator[None]:
    """Call `on_signal` with the name of each SIGTERM and SIGINT, on the running event loop."""
    loop = asyncio.get_running_loop()
    caught = (signal.SIGTERM, signal.SIGINT)
    for number in caught:
        loop.add_signal_handler(number, on_signal, number.name)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
