"""From a list of servers to a pool that takes prompts."""

from collections.abc import Sequence
from functools import partial

from emollm.clients.address import ServerOptions
from emollm.clients.detect import detect
from emollm.pool.health import Prove
from emollm.pool.observer import PoolObserver
from emollm.pool.options import PoolOptions
from emollm.pool.pool import Pool
from runtime.clock import Clock


def make_pool(
    servers: Sequence[ServerOptions],
    options: PoolOptions | None = None,
    *,
    prove: Prove | None = None,
    observer: PoolObserver | None = None,
    clock: Clock | None = None,
) -> Pool:
    """Make a pool of these servers that asks nothing before it is started. See `open_pool`.

    Raises:
        ValueError: no servers.
    """
    options = options or PoolOptions()
    return Pool(
        [
            (server.shown, partial(detect, server, timeout_s=options.info_timeout_s))
            for server in servers
        ],
        options,
        prove=prove,
        observer=observer,
        clock=clock,
    )


async def open_pool(
    servers: Sequence[ServerOptions],
    options: PoolOptions | None = None,
    *,
    prove: Prove | None = None,
    observer: PoolObserver | None = None,
    clock: Clock | None = None,
    wait_s: float | None = None,
) -> Pool:
    """Make a pool of these servers; return when each was tried once and one takes prompts.

    `prove` says of one server's client whether it answers as it should (the canary): None, or
    why not. `wait_s` bounds the wait for the first server, in seconds; None waits without end, with
    a line in the log for each server that is missing.

    Raises:
        ValueError: no servers.
        OSError: a CA file can't be read.
        WrongModel: servers disagree about the model, or one of them fails its proof.
        Stop: no server can be used until a human acts.
        Unavailable, TimedOut: none answered within `wait_s`.
    """
    pool = make_pool(servers, options, prove=prove, observer=observer, clock=clock)
    await pool.start(wait_s=wait_s)
    return pool
