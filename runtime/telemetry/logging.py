"""Logs: one event per fact, JSON in production, colours on a terminal, nothing of a stranger's.

Libraries' own records (aiokafka, aiohttp) go the same way as ours, from `warning` on.
"""

import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from runtime.errors import QuotableError
from runtime.telemetry.lossy_stream import LossyStream

REDACTED = "[redacted]"

# What may hold a post's words, a person or a secret, by the name that one would give it. No event
# of ours has these keys: this is the last guard, for the one that someone adds in a hurry.
_SENSITIVE = re.compile(
    r"(^|_)(text|texts|post|posts_text|value|body|content|prompt|answer|author|handle|user|username"
    r"|password|passwd|token|secret|credentials?|authorization|cookie|api_?key|author_key|meta)$",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+\S+", re.IGNORECASE)
_MAX_CHARS = 2_000  # a log line that quotes more than this quotes something that it should not


def setup_logging(format: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:  # noqa: A002 - the setting's name
    """Configure structlog and the standard library's logging, once, at start.

    `format` is `auto`, `json` or `console`; `auto` is for humans where `stream` (standard error by
    default) is a terminal. `level` is `debug`, `info`, `warning` or `error`. What the stream
    doesn't take is lost, and raises nothing.
    """
    out: Any = LossyStream(sys.stderr if stream is None else stream)
    human = format == "console" or (format == "auto" and out.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        render_exception,
        redact,
        _in_order,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=out.isatty() and not os.environ.get("NO_COLOR"))
        if human
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,  # tests and the demo configure it again
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *shared,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))
    # Also for loggers with a level of their own, which the root's doesn't bind.
    handler.setLevel(root.level)


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Take out what must not be in a log: the last guard, not the rule."""
    for key, value in event.items():
        if key != "event" and _SENSITIVE.search(key):
            event[key] = REDACTED
        elif isinstance(value, str):
            event[key] = _clean(value)
        elif isinstance(value, bytes | bytearray):
            event[key] = REDACTED  # a record's key or value
        elif isinstance(value, dict):
            # Counts by a name, such as what was skipped by reason: `not_a_post` is one.
            counts = {name: part for name, part in value.items() if type(part) is int}
            event[key] = {**redact(_logger, _method, dict(value)), **counts}
        elif isinstance(value, list | tuple):
            event[key] = [_clean(part) if isinstance(part, str) else part for part in value]
    return event


def _in_order(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """When, how bad and what come first, for eyes and for `cut`."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


def render_exception(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Render `exc_info` without what an error of a library may quote in its message."""
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["exception"] = "\n".join(_frames(error))
    return event


def _frames(error: BaseException) -> Iterator[str]:
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    for link in reversed(chain):
        for frame in traceback.extract_tb(link.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
        message = f": {link}" if isinstance(link, QuotableError) else ""
        yield f"{type(link).__name__}{message}"


def _clean(text: str) -> str:
    if "://" in text:
        text = _USERINFO.sub("***@", text)
    if " " in text:
        text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}… [{len(text)} characters]"
