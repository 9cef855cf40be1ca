"""The process between us and Java: Java ends when we end, however we end.

Run by its path in a bare interpreter (`python -I -S _guard.py CONFIG`), standard library only, so
that it is up in 30 ms. CONFIG is JSON: `remove` (a folder to delete at the end, or null) and
`grace_s` (seconds between SIGTERM and SIGKILL at the end).

Its standard input is a pipe that only our process holds: lines of JSON are orders (`run` with
`argv` and `log`; `signal` with a number), and its end, which the kernel brings about even when we
are killed with -9, means: end Java, remove the folder, go. Where a forked sibling keeps the pipe
open, the change of parent is noticed within a second. Its standard output carries lines of JSON
back: `pid` when Java was started, `exited` with its code, `failed` when it could not be started.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PARENT_POLL_S = 1.0
_PR_SET_PDEATHSIG = 1


def _die_with_guard() -> Callable[[], None] | None:
    """Make what the child runs between fork and exec: on Linux it asks to die with the guard."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    guard = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:  # it died before we could ask
            os._exit(1)

    return ask


class _Guard:
    def __init__(self, remove: str | None, grace_s: float) -> None:
        self._remove = remove
        self._grace_s = grace_s
        self._parent = os.getppid()
        self._child: subprocess.Popen[bytes] | None = None
        self._orders = b""
        self._ended = False
        self._wake_read, wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end)

    def _end(self, *_: object) -> None:
        self._ended = True

    def serve(self) -> None:
        while not self._ended:
            ready, _, _ = select.select([0, self._wake_read], [], [], _PARENT_POLL_S)
            if self._wake_read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            self._reap()
            if 0 in ready:
                self._read_orders()
            if os.getppid() != self._parent:
                break
        self._finish()

    def _read_orders(self) -> None:
        data = os.read(0, 65536)
        if not data:
            self._ended = True
            return
        *lines, self._orders = (self._orders + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))

    def _obey(self, order: dict[str, Any]) -> None:
        if "signal" in order:
            self._signal(order["signal"])
            return
        try:
            with Path(order["log"]).open("ab") as log:
                self._child = subprocess.Popen(  # noqa: S603 - our parent's own command
                    order["run"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    process_group=0,
                    preexec_fn=_die_with_guard(),  # noqa: PLW1509 - one thread only
                )
        except OSError as error:
            _tell({"failed": str(error)})
        else:
            _tell({"pid": self._child.pid})

    def _signal(self, number: int) -> None:
        # To the whole group: making the start-up archive, Java has a child of its own.
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, number)

    def _reap(self) -> None:
        if self._child is not None and (code := self._child.poll()) is not None:
            self._child = None
            _tell({"exited": code})

    def _finish(self) -> None:
        if self._child is not None:
            # A folder that goes anyway needs no orderly end.
            self._signal(signal.SIGKILL if self._remove else signal.SIGTERM)
            deadline = time.monotonic() + self._grace_s
            while self._child is not None and time.monotonic() < deadline:
                self._reap()
                time.sleep(0.02)
            self._signal(signal.SIGKILL)
            if self._child is not None:
                self._child.wait()
        if self._remove:
            shutil.rmtree(self._remove, ignore_errors=True)


def _tell(fact: dict[str, Any]) -> None:
    # Our parent may be gone: then there is nobody to tell.
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(fact).encode() + b"\n")


if __name__ == "__main__":
    _config = json.loads(sys.argv[1])
    _Guard(_config["remove"], _config["grace_s"]).serve()
