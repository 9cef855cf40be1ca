"""Many model servers as one: retries, concurrency limits, circuit breakers.

pool = await open_pool([ServerOptions(url="http://gpu-1:8080", token=token)], PoolOptions())
answers = await pool.ask(prompts)      # in the prompts' order; errors in it are Poison
await pool.aclose()
"""

from emollm.pool.breaker import BreakerState
from emollm.pool.clock import Clock, SystemClock
from emollm.pool.ends import PoolClosed
from emollm.pool.lane import ServerState
from emollm.pool.observer import NullObserver, PoolObserver
from emollm.pool.opening import open_pool
from emollm.pool.pool import Pool
from emollm.pool.roster import PoolOptions, Prove

__all__ = [
    "BreakerState",
    "Clock",
    "NullObserver",
    "Pool",
    "PoolClosed",
    "PoolObserver",
    "PoolOptions",
    "Prove",
    "ServerState",
    "SystemClock",
    "open_pool",
]
