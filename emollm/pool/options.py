"""How a pool asks its servers."""

from collections.abc import Callable

import msgspec

from emollm.protocol import ServerInfo


def _never(_info: ServerInfo) -> bool:
    return False


class PoolOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one pool. Times are in seconds."""

    timeout_s: float = 30.0
    """One request may take so long, queueing on the server included; health checks, too."""
    info_timeout_s: float = 10.0
    """A server may take so long to name what it serves."""
    max_concurrency: int = 128
    """Requests in flight to one server at most; the limit adapts below it and below `/info`'s."""
    section: str = "model"
    """The part of the configuration that names the servers: what is written about one in trouble
    names the key to change in it."""
    by_length: Callable[[ServerInfo], bool] = _never
    """Whether prompts of similar length are sent together, by what the servers say of themselves:
    for those that pad a batch to its longest prompt. Asked once for each call."""
