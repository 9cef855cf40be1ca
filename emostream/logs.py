"""Log lines of the commands that talk to a person: warnings only, unless asked."""

from consumer.telemetry.logging import setup_logging


def quiet_logs(level: str = "warning") -> None:
    """Write log lines of at least this level to standard error, in the house's format."""
    setup_logging("auto", level)
