"""Model servers: the clients of their dialects, and the pool that makes one of many.

pool = await open_pool([ServerOptions(url="http://gpu-1:8080", token=token)], PoolOptions())
answers = await pool.ask(prompts)      # in the prompts' order; errors in it are Poison
await pool.aclose()
"""

from emollm.servers.address import ServerOptions
from emollm.servers.breaker import BreakerState
from emollm.servers.clock import Clock, SystemClock
from emollm.servers.completions import CompletionsClient
from emollm.servers.detect import detect, make_client
from emollm.servers.ends import PoolClosed
from emollm.servers.http_transport import HttpTransport
from emollm.servers.lane import ServerState
from emollm.servers.observer import NullObserver, PoolObserver
from emollm.servers.opening import open_pool
from emollm.servers.pool import Pool
from emollm.servers.roster import PoolOptions, Prove
from emollm.servers.tgi import TgiClient
from emollm.servers.transport import DeadlinePassed, NoAnswer, Response, Transport, TransportError

__all__ = [
    "BreakerState",
    "Clock",
    "CompletionsClient",
    "DeadlinePassed",
    "HttpTransport",
    "NoAnswer",
    "NullObserver",
    "Pool",
    "PoolClosed",
    "PoolObserver",
    "PoolOptions",
    "Prove",
    "Response",
    "ServerOptions",
    "ServerState",
    "SystemClock",
    "TgiClient",
    "Transport",
    "TransportError",
    "detect",
    "make_client",
    "open_pool",
]
