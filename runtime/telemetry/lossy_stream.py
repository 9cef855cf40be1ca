"""A stream that work doesn't depend on: a log's, or a service's words on standard output."""

import os
from contextlib import suppress
from typing import TextIO


def discard(out: TextIO) -> None:
    """Discard what `out` couldn't write yet, and all that follows.

    Python would try again to write it as it ends, and exit with status 120.
    """
    with suppress(OSError, ValueError):  # it is closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())
        os.close(nowhere)


class LossyStream:
    """Writes to `out`; what it doesn't take is lost.

    A log collector that is gone, or a disk that is full, must not stop posts, let alone raise in
    the middle of a rebalance.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Write, or lose it."""
        try:
            return self._out.write(text)
        except OSError as error:
            self._lost(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or lose it."""
        try:
            self._out.flush()
        except OSError as error:
            self._lost(error)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._out.isatty()

    def _lost(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            return  # a disk may have room again
        discard(self._out)  # nobody will read it any more
