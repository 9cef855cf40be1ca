"""A log that nobody reads any more stops no work."""

import errno
import io
import os

import pytest
import structlog

from runtime.telemetry.logging import setup_logging
from runtime.telemetry.lossy_stream import LossyStream


def test_a_log_whose_reader_is_gone_raises_nothing_now_or_at_the_end() -> None:
    """It ended a consumer with status 0, wherever it was."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:  # closes, and flushes: raises what is left
        setup_logging("json", "info", stream)
        for _ in range(1_000):
            structlog.get_logger("consumer").info("started")


def test_a_disk_that_was_full_is_written_to_again() -> None:
    class Full(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "no space")
            return super().write(text)

    stream = Full()
    lossy = LossyStream(stream)
    lossy.write("lost")
    stream.full = False
    lossy.write("kept")
    lossy.flush()
    assert stream.getvalue() == "kept"
    assert not lossy.isatty()


def test_other_errors_than_the_systems_are_raised() -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        LossyStream(stream).write("x")
