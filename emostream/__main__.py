"""Where the program begins, as `emostream` and as `python -m emostream`: signals, then the rest."""

import os
import signal
import sys
from functools import partial
from typing import NoReturn

from emostream.exits import INTERRUPTED, TERMINATED


def main() -> NoReturn:
    """Run the command line; see `emostream.command_line`.

    Until the subcommand begins nothing is kept, and Ctrl-C ends the process silently: in the middle
    of an import it would come out as whatever that library makes of it, a traceback at best. The
    same once the subcommand has ended. Where it is ignored (a script's background jobs), it stays
    so.
    """
    _end_on_sigterm_in_a_container()
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from emostream import command_line
    from emostream.interrupt import end_at_once_on_another

    try:
        command_line.main(on_begin=partial(signal.signal, signal.SIGINT, before))
    finally:
        end_at_once_on_another()


def _end_on_sigterm_in_a_container() -> None:
    """Have SIGTERM end us before somebody catches it, and where nobody does.

    The first process of a container has no default for it: the kernel drops what isn't caught,
    and whoever stops the container waits in vain and kills it.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))


if __name__ == "__main__":
    main()
