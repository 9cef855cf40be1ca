"""What a run tells: progress while it runs, a report at its end."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a file that is no post."""

    line: int
    """Number of its first line, from 1, a header included."""
    reason: str
    """Never holds anything of the line itself."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is."""

    sent: int
    """Records handed to the producer."""
    acked: int
    failed: int
    in_flight: int
    bad_lines: int
    seconds: float
    """Since the start."""
    fraction: float | None
    """0 to 1 of what there is to do; None where nobody knows (a pipe, an endless run)."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended."""

    sent: int
    """Records handed to the producer."""
    acked: int
    """Written, acknowledged by the broker."""
    failed: int
    """Refused, or without an answer at the end."""
    bad_lines: int
    bad_samples: tuple[BadLine, ...]
    """The first of the bad lines."""
    errors: dict[str, int]
    """Class of the delivery error to how often."""
    kinds: dict[str, int]
    """Records of `load` by what they were made as."""
    seconds: float
    unreadable_times: int = 0
    """Posts of a file whose time is in no known form: they were written without one."""
    failure: str | None = None
    """Why the run ended early; None where it did all there was to do, or was asked to stop."""

    @property
    def ok(self) -> bool:
        """Whether the exit status is 0: all that was read was written.

        Skipped bad lines are no failure, unless there was nothing else.
        """
        nothing_good = self.bad_lines > 0 and self.acked == 0
        return self.failure is None and self.failed == 0 and not nothing_good

    @property
    def posts_per_s(self) -> float:
        """Acknowledged records per second of the run."""
        return self.acked / self.seconds if self.seconds > 0 else 0.0


Observer: TypeAlias = Callable[[Progress], None]
"""Called about ten times a second and once at the end."""

BadLineObserver: TypeAlias = Callable[[BadLine], None]
"""Called for each bad line."""
