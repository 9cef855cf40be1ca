"""The log events of the model server: names are an interface, each with its meaning."""

from __future__ import annotations

from enum import StrEnum


class ServerEvent(StrEnum):
    """One fact each, logged with key-values through structlog."""

    READY = "tgi.ready"
    """Requests are answered: `url`, `model`, `engine`, `seconds` since the start."""

    STOPPED = "tgi.stopped"
    """The server ended: `all_answered` is false when requests in flight were given up."""

    LIMIT_BEYOND_MODEL = "tgi.limit_beyond_model"
    """--max-input-tokens is more than the model holds; the model's own limit counts:
    `max_input_tokens`, `model_max_input_tokens`."""

    REPLAY_SKIPPED = "tgi.replay_skipped"
    """Lines of a recording whose instruction belongs to no known task; they are never answered:
    `lines`."""

    BATCH_FAILED = "tgi.batch_failed"
    """The engine raised for a whole batch; its requests got 424: `prompts`, `error`."""

    CONNECTIONS_FULL = "tgi.connections_full"
    """A connection was refused (503) because --max-connections are open; logged once until one is
    free again: `max_connections`."""

    CRASHED = "tgi.crashed"
    """A bug: the queue can't go on. Requests in flight are given up, and the server ends with
    status 1: `error`."""

    REQUEST_FAILED = "tgi.request_failed"
    """A bug: an exception that no code expected; its client got 500. With the traceback."""
