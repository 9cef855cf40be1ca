"""Lines that say how far a long run is.

A module of its own, since workers are spawned: pickle doesn't find what is defined in `__main__`.
"""

from __future__ import annotations

import sys
import time


def say(line: str) -> None:
    """Print a line with the time, at once; the workers of the training call it, too."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()
