"""What one may choose about a run of the bench."""

from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The command line, read."""

    rounds: int = 5
    """Of the peers, after a warm-up."""
    quick: bool = False
    """Everything small: to see whether it runs, not to be quoted."""
    profile: Path | None = None
    """Folder for py-spy's profiles; None: none are taken."""

    def pick(self, *, quick: T, full: T) -> T:
        """One of two sizes."""
        return quick if self.quick else full
