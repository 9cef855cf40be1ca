"""What to do about a server's trouble: one sentence that names the setting to change."""

import re

from emollm.errors import (
    GenerationFailed,
    ModelError,
    Overloaded,
    Poison,
    TimedOut,
    Unauthorized,
    WrongModel,
    WrongRequest,
)

_REMEDIES: tuple[tuple[type[ModelError], str], ...] = (
    (Unauthorized, "check model.token or model.token_file, and the server's own key"),
    (WrongModel, "check which model the server loaded, and model.name"),
    (WrongRequest, "check the URL in model.servers (path prefix, port) and model.dialect"),
    (
        Overloaded,
        "it is busy with others' work: wait, add a server, or raise its --max-concurrent-requests",
    ),
    (
        GenerationFailed,
        "it fails on a harmless prompt: read its own log (out of memory, a dead shard)",
    ),
    (
        TimedOut,
        "it answers no request, whatever its /health says: restart it, or raise model.timeout_s",
    ),
    (
        Poison,
        "where prompts are too long, set model.max_input_tokens, or raise its --max-input-tokens",
    ),
)
_KEYS = re.compile(
    r"\bmodel\.(?=(?:servers|token|token_file|name|family|wrapper|dialect|timeout_s"
    r"|max_input_tokens)\b)"
)
_BODY_LIMIT = "a body limit on the way is too low: raise the gateway's, or cut posts with"


def advice(error: ModelError, section: str = "model") -> str:
    """Say what is wrong in the server's words, and what a human can do about it.

    `section` is the part of the configuration that names the server.
    """
    words = str(error)
    says = isinstance(error, WrongModel) and (words.endswith(".") or _KEYS.search(words))
    if says or "model.servers" in words:  # it says what to do
        return _in_section(words, section)
    return f"{error}: {remedy(error, section)}"


def remedy(error: ModelError, section: str = "model") -> str:
    """Say what a human can do about it, without the server's words."""
    return _in_section(_remedy(error), section)


def _in_section(words: str, section: str) -> str:
    return _KEYS.sub(f"{section}.", words)


def _remedy(error: ModelError) -> str:
    if isinstance(error, Poison) and error.status == 413:
        return f"{_BODY_LIMIT} model.max_input_tokens"
    for kind, words in _REMEDIES:
        if isinstance(error, kind):
            return words
    return "check that it runs, and the URL in model.servers"
