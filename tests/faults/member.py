"""`emostream consume`, with a wall clock that can jump and, if wished, a guarantee switched off.

Called as `python -m tests.faults.member CLOCK_FILE MUTANT consume …`; the mutant may be `none`.
"""

import sys
import threading
import time
from pathlib import Path

from emostream.command_line import main
from tests.faults.mutants import MUTANTS

_LOOK_S = 0.25


def jumping(path: Path) -> None:
    """Shift this process's wall clock by the seconds in a file, whenever they change.

    Everything that asks `time.time`, the consumer's clock and aiokafka included, sees the jump;
    the monotonic clock goes on, as the kernel's does.
    """
    true_time = time.time
    shift = 0.0

    def shifted() -> float:
        return true_time() + shift

    def watch() -> None:
        nonlocal shift
        while True:
            if path.exists():
                shift = float(path.read_text(encoding="ascii") or "0")
            time.sleep(_LOOK_S)

    time.time = shifted
    threading.Thread(target=watch, name="jumping-clock", daemon=True).start()


if __name__ == "__main__":
    _, clock_file, mutant, *rest = sys.argv
    jumping(Path(clock_file))
    if mutant != "none":
        MUTANTS[mutant](setattr)
    sys.argv = ["emostream", *rest]
    main()
