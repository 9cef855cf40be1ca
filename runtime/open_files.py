"""How many files and connections this process may have open."""

import resource
from contextlib import suppress
from typing import Final

ENOUGH: Final = 65_536
"""More than any pool of model servers takes; the system's own most may be a billion."""


def allow_open_files() -> None:
    """Allow as many as the system lets us, up to `ENOUGH`.

    Systems start a process with 1,024, for programs that use `select`. Eight model servers of 128
    requests at once take more: their breakers opened on our own "Too many open files".
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return
    with suppress(OSError, ValueError):  # a system's own limit below it: as it was
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
