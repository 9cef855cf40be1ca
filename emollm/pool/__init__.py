"""Many model servers as one: retries, concurrency limits, circuit breakers.

pool = await open_pool([ServerOptions(url="http://gpu-1:8080", token=token)], PoolOptions())
answers = await pool.ask(prompts)      # in the prompts' order; errors in it are Poison
await pool.aclose()
"""

from emollm.errors import PoolBroken, PoolClosed
from emollm.pool.advice import advice, remedy
from emollm.pool.breaker import BreakerState
from emollm.pool.health import Prove
from emollm.pool.observer import NullObserver, PoolObserver
from emollm.pool.open_pool import make_pool, open_pool
from emollm.pool.options import PoolOptions
from emollm.pool.pool import Pool
from emollm.pool.upstream import ServerState

__all__ = [
    "BreakerState",
    "NullObserver",
    "Pool",
    "PoolBroken",
    "PoolClosed",
    "PoolObserver",
    "PoolOptions",
    "Prove",
    "ServerState",
    "advice",
    "make_pool",
    "open_pool",
    "remedy",
]
