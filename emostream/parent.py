"""Ending with the program that started this one, however that ended."""

import os
import signal
import sys
import threading


def exit_with_parent() -> None:
    """Ask this process to stop (SIGTERM) when its standard input ends.

    The other end of the pipe closes even when the parent is killed with -9. A thread reads it, so
    that a busy event loop can't miss it.
    """

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
