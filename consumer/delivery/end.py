"""The last line of the log: how the service ended, and what to do about it."""

import structlog

from consumer.errors import exit_code
from consumer.telemetry import log_events
from runtime.errors import QuotableError

_log = structlog.get_logger("consumer")


def log_end(error: BaseException | None, *, joined: bool, **counts: int) -> None:
    """Log the end; `error` is why it ended by itself, `joined` whether it ever was in its group."""
    if error is None:
        _log.info(log_events.STOPPED, **counts)
        return
    known = isinstance(error, QuotableError)
    facts = {
        "error": type(error).__name__,
        # The message of an error that nobody foresaw may quote a post.
        "reason": str(error) if known else "unexpected: see the traceback",
        "exit_code": exit_code(error),
        "exc_info": None if known else error,
    }
    if joined:
        _log.error(log_events.FAILED, **facts, **counts)
    else:
        _log.error(log_events.NOT_STARTED, **facts)
