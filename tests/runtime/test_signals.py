"""A service ends in order, whichever way it is asked to."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from runtime.signals import caught_signals


@pytest.fixture(autouse=True)
def hangup_that_counts() -> Iterator[None]:
    """Whoever runs the tests may have it ignored: `nohup make test &`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_each_signal_is_told_by_its_name(number: signal.Signals) -> None:
    """SIGHUP, as a terminal's end sends it, ended the process with its posts in flight."""
    told = asyncio.get_running_loop().create_future()
    with caught_signals(told.set_result):
        os.kill(os.getpid(), number)
        assert await told == number.name


async def test_a_hangup_that_is_ignored_stays_so() -> None:
    """`nohup emostream consume &` outlives its terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    told: list[str] = []
    with caught_signals(told.append):
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert told == []
