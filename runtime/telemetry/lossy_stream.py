"""A stream that work doesn't depend on: a log's, or a service's words on standard output."""

import os
from contextlib import suppress
from typing import TextIO


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
        # Nobody will read it any more. What is in the buffer would be tried again as Python ends,
        # which makes the exit status 120.
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._out.fileno())
            os.close(nowhere)
