"""The addresses behind a server's name: looked up together, used in turn."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import aiohappyeyeballs

LIFE_S = 10.0
"""A look-up serves so long. Kubernetes and Consul give names of 5 to 30 seconds' life; asking each
time would be a query for every connection of a burst."""
SLOW_S = 0.25
"""An address that hasn't connected by then isn't waited for: the next one is tried beside it (RFC
8305 recommends 250 ms)."""
AVOIDED_S = 60.0
"""An address that was overtaken by a later one is tried after the others for so long."""

AddressInfo = aiohappyeyeballs.AddrInfoType
GetAddresses = Callable[[str, int], Awaitable[list[AddressInfo]]]


class Lookup:
    """One server's addresses. Each connection begins with another one of them."""

    def __init__(self, host: str, port: int, get: GetAddresses | None = None) -> None:
        """`get` asks the system's resolver, unless a test gives another."""
        self._host = host
        self._port = port
        self._get = get or _ask_system
        self._found: list[AddressInfo] = []
        self._found_at = float("-inf")
        self._asking: asyncio.Task[list[AddressInfo]] | None = None
        self._next = 0
        self._avoided: dict[object, float] = {}

    async def connect(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        """Connect a socket to one of the addresses. Raises OSError, or ValueError for the name."""
        candidates = self._in_turn(await self._addresses(loop), loop.time())
        task = asyncio.current_task()
        before = task.cancelling() if task is not None else 0
        sock = await aiohappyeyeballs.start_connection(
            candidates, happy_eyeballs_delay=SLOW_S, loop=loop
        )
        if task is not None and task.cancelling() > before:
            # It swallows what cancels it while it calls off the addresses that came second.
            sock.close()
            raise asyncio.CancelledError
        self._remember(candidates, sock, loop.time())
        return sock

    async def _addresses(self, loop: asyncio.AbstractEventLoop) -> list[AddressInfo]:
        """One question to the resolver, however many connections wait for it."""
        if loop.time() - self._found_at < LIFE_S:
            return self._found
        if self._asking is None:
            self._asking = loop.create_task(self._look_up(loop))
            self._asking.add_done_callback(_seen)
        asking = self._asking
        await asyncio.wait((asking,))  # who gives up takes the answer from nobody
        if asking.cancelled():
            raise OSError("the look-up was ended")  # and nobody cancelled who waits for it
        return asking.result()

    async def _look_up(self, loop: asyncio.AbstractEventLoop) -> list[AddressInfo]:
        try:
            found = await self._get(self._host, self._port)
        finally:
            self._asking = None
        self._found, self._found_at = found, loop.time()
        return found

    def _in_turn(self, found: list[AddressInfo], now: float) -> list[AddressInfo]:
        start = self._next % len(found) if found else 0
        self._next += 1
        turned = found[start:] + found[:start]
        if not self._avoided:
            return turned
        self._avoided = {where: until for where, until in self._avoided.items() if until > now}
        return sorted(turned, key=lambda one: one[4][:2] in self._avoided)  # stable

    def _remember(self, candidates: list[AddressInfo], sock: socket.socket, now: float) -> None:
        """Put those addresses last from now on that were tried before the one that connected."""
        if len(candidates) < 2:
            return
        try:
            connected = sock.getpeername()[:2]
        except OSError:
            return  # closed again already
        for candidate in candidates:
            where = candidate[4][:2]
            if where == connected:
                self._avoided.pop(where, None)
                return
            self._avoided[where] = now + AVOIDED_S

    async def aclose(self) -> None:
        """End a look-up that nobody waits for any more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)


def _seen(task: asyncio.Task[list[AddressInfo]]) -> None:
    """Take note of an error, or asyncio would complain if everyone who waited has given up."""
    if not task.cancelled():
        task.exception()


async def _ask_system(host: str, port: int) -> list[AddressInfo]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(found)
