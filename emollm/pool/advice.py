"""What to do about a server's trouble: one sentence that names the setting to change."""

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
_BODY_LIMIT = "a body limit on the way is too low: raise the gateway's, or cut posts with"


def advice(error: ModelError) -> str:
    """Say what is wrong in the server's words, and what a human can do about it."""
    if "model.servers" in str(error):  # it says what to write
        return str(error)
    return f"{error}: {remedy(error)}"


def remedy(error: ModelError) -> str:
    """Say what a human can do about it, without the server's words."""
    if isinstance(error, Poison) and error.status == 413:
        return f"{_BODY_LIMIT} model.max_input_tokens"
    for kind, words in _REMEDIES:
        if isinstance(error, kind):
            return words
    return "check that it runs, and the URL in model.servers"
