"""What a failure alone says against a prompt."""

from emollm.errors import ModelError, TimedOut

TRIALS = 5
"""Failures alone, each with a harmless prompt answered right after, that make it poison. On a
server that fails at random two may be luck: 2 of 200,000 posts in a run of a thousand faults."""
TRIALS_SLOW = 3
"""Where it timed out: each costs a whole deadline with nothing else on the server."""
TRIALS_FATAL = 3
"""Where nobody was there any more: three times is no coincidence, and else one post could crash a
server for ever."""
TRIALS_SICK = 8
"""Where the server failed the harmless prompt, too: nearly always it was the server, but one whose
shard a prompt killed looks like this until it is restarted."""


def guilt(error: ModelError, witness: ModelError | None) -> float:
    """How much `error`, alone on a server, says against the prompt; at a sum of 1 it is poison.

    `witness` is what became of a harmless prompt right after it; None: it was answered.
    """
    if witness is not None:
        return 1 / (TRIALS_FATAL if witness.status is None else TRIALS_SICK)
    return 1 / (TRIALS_SLOW if isinstance(error, TimedOut) else TRIALS)
