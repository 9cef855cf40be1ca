"""SIGTERM, SIGINT and SIGHUP, while the service runs."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def caught_signals(on_signal: Callable[[str], None]) -> Iterator[None]:
    """Call `on_signal` with the name of each such signal, on the running event loop.

    SIGHUP, of a terminal that closes, only where nobody has it ignored, as `nohup` does.
    """
    loop = asyncio.get_running_loop()
    caught = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        caught.append(signal.SIGHUP)
    for number in caught:
        loop.add_signal_handler(number, on_signal, number.name)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
