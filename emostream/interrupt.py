"""Ctrl-C: the first one ends the work in order, a second one, or one that is held, at once."""

import asyncio
import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any, TypeVar

from emostream.exits import INTERRUPTED

_T = TypeVar("_T")

_TIDY = b"\r\x1b[2K\x1b[?25h"
"""For a terminal: the bar's line is cleared, and the cursor that it hid is back."""


def run(work: Coroutine[Any, Any, _T], *, sentence: str = "") -> _T:
    """`asyncio.run`, after which no further Ctrl-C breaks into the cleanup, or into Python's end.

    asyncio raises the second one wherever the cleanup is, which then reports broken parts and
    tracebacks. Here it ends the process, with status 130: what a command keeps must be kept at
    once, as after a kill -9. `sentence` is written to standard error, once, by either.

    Raises:
        KeyboardInterrupt: Ctrl-C, and the work was cancelled.
    """
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(work)  # no signal comes here
    before = signal.getsignal(signal.SIGINT)
    with asyncio.Runner() as runner:
        ctrl_c = _CtrlC(runner.get_loop(), sentence)
        signal.signal(signal.SIGINT, ctrl_c.on_signal)
        try:
            return runner.run(ctrl_c.cancels(work))
        except asyncio.CancelledError:
            if not ctrl_c.pressed:
                raise
        finally:
            if not ctrl_c.pressed:
                signal.signal(signal.SIGINT, before)
    # Another one would write the sentence again. Not SIG_IGN: Python writes a complaint of its own
    # about a signal that came just before that was set.
    signal.signal(signal.SIGINT, lambda *_: None)
    if sentence:
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()
    end_at_once_on_another()
    raise KeyboardInterrupt


def run_until_stopped(work: Callable[[asyncio.Event], Coroutine[Any, Any, _T]]) -> tuple[_T, bool]:
    """Run work that ends in order once its event is set; give its result, and whether it was.

    By the first Ctrl-C, SIGTERM or SIGHUP. Another one ends the process at once, with status 130.
    """
    # Not at the top: `main` imports this file before it has put our folders (_rooms) on the path.
    from runtime.signals import caught_signals

    async def main() -> tuple[_T, bool]:
        stop = asyncio.Event()

        def on_signal(_: str) -> None:
            if stop.is_set():
                _end()
            stop.set()

        mine = threading.current_thread() is threading.main_thread()  # no signal comes to others
        with caught_signals(on_signal) if mine else nullcontext():
            return await work(stop), stop.is_set()

    return asyncio.run(main())


class _CtrlC:
    """Cancels the work at the first one, and ends the process at the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sentence: str) -> None:
        self.pressed = False
        self._loop = loop
        self._sentence = sentence
        self._task: asyncio.Task[Any] | None = None

    async def cancels(self, work: Coroutine[Any, Any, _T]) -> _T:
        self._task = asyncio.current_task()
        if self.pressed and self._task is not None:
            self._task.cancel()
        return await work

    def on_signal(self, *_: object) -> None:
        if self.pressed:
            _end(self._sentence)
        self.pressed = True
        if self._task is not None and not self._task.done():
            # Not from here: the loop may be anywhere. It is woken, too.
            self._loop.call_soon_threadsafe(self._task.cancel)


def end_at_once_on_another() -> None:
    """From here on Ctrl-C ends the process silently, with status 130; Python may be ending it.

    Where it is ignored, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    signal.signal(signal.SIGINT, lambda *_: _end())
    # After the last threads have ended Python takes handlers away, and Ctrl-C would kill it.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


_ending: list[str] = []
"""Not empty once the process ends at once. No Event: its lock may hang in a signal handler."""


def _end(sentence: str = "") -> None:
    if _ending:  # Ctrl-C is held: this handler interrupted the one that is ending the process
        return
    _ending.append(sentence)
    tidy = _TIDY if sys.stderr.isatty() else b""
    # Not by sys.stderr: this signal may have come in the middle of its write.
    if words := tidy + (f"{sentence}\n".encode() if sentence else b""):
        os.write(2, words)
    os._exit(INTERRUPTED)
