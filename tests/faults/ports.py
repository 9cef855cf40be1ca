"""Ports of one run, which no other run on this machine has, for as long as it lives."""

import fcntl
import tempfile
from pathlib import Path
from typing import TextIO

from infra.kafka._ports import is_free

HOST = "127.0.0.1"
_FIRST, _BLOCKS, _SIZE = 12_000, 100, 64
"""Below what the embedded Kafka of a test draws from, and below the ports of outgoing connections:
a killed broker must find its port free when it comes back."""


class Ports:
    """A block of ports, locked against other runs; each port is given once."""

    def __init__(self) -> None:
        self._lock, block = _lock_a_block()
        self._left = [_FIRST + block * _SIZE + n for n in range(_SIZE)]

    def take(self) -> int:
        """Give a port that is free now."""
        while not is_free(HOST, port := self._left.pop()):
            pass
        return port

    def close(self) -> None:
        """Let another run have them."""
        self._lock.close()


def _lock_a_block() -> tuple[TextIO, int]:
    for block in range(_BLOCKS):
        path = Path(tempfile.gettempdir()) / f"emostream-faults-ports-{block}.lock"
        lock = path.open("a", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process
        except OSError:
            lock.close()
        else:
            return lock, block
    raise RuntimeError("a hundred runs at once: no ports are left")
