"""Log lines of the commands that talk to a person: warnings only, unless asked."""

import logging

from runtime.telemetry.logging import setup_logging


def quiet_logs(level: str = "warning") -> None:
    """Write log lines of at least this level to standard error, in the house's format.

    aiokafka's own are left out: it logs each of its tries, and the command says what came of them.
    """
    setup_logging("auto", level)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
