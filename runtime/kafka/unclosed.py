"""Connections that aiokafka 0.14 forgets, and that then stay open on both sides.

It forgets the one through which a client first asks for the brokers, when that is given up half-way
(a timeout, Ctrl-C). And one that is still being opened while its client is closed, for a commit
that was given up for instance, is nobody's from then on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiokafka.client
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import CloseReason

_asking: "dict[asyncio.Task[Any], list[Any]]" = {}
"""Task that asks for the brokers to the connections which it has opened for that."""


def install() -> None:
    """Have aiokafka's clients close these; once is enough, more does nothing."""
    if aiokafka.client.create_conn.__name__ == "create_conn":
        aiokafka.client.create_conn = _noted(aiokafka.client.create_conn)
        AIOKafkaClient.bootstrap = _given_up(AIOKafkaClient.bootstrap)
        AIOKafkaClient.close = _for_good(AIOKafkaClient.close)


def drop(client: AIOKafkaClient) -> None:
    """Close a client's connections at once, unsent bytes and all, and those still being opened."""
    connections, client._conns = client._conns, _Closed()  # noqa: SLF001 - no public way
    for connection in connections.values():
        connection.close(reason=CloseReason.SHUTDOWN)
        # A broker that doesn't read would keep it open, with what is unsent, for good.
        protocol = connection._protocol  # noqa: SLF001 - likewise; None: it never came about
        if protocol is not None and protocol._transport is not None:  # noqa: SLF001 - likewise
            protocol._transport.abort()  # noqa: SLF001 - likewise


class _Closed(dict[Any, Any]):
    """A closed client's connections: what comes to them is closed, too."""

    def __setitem__(self, broker: Any, connection: Any) -> None:
        connection.close(reason=CloseReason.SHUTDOWN)
        super().__setitem__(broker, connection)


def _noted(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def opened(*args: Any, **kwargs: Any) -> Any:
        connection = await original(*args, **kwargs)
        task = asyncio.current_task()
        if task is not None and task in _asking:
            _asking[task].append(connection)
        return connection

    return opened


def _given_up(original: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def bootstrap(self: Any) -> None:
        task = asyncio.current_task()
        assert task is not None  # a coroutine of asyncio's runs in one
        opened = _asking[task] = list[Any]()
        try:
            await original(self)
        except BaseException:
            for connection in opened:
                connection.close()
            raise
        finally:
            del _asking[task]

    return bootstrap


def _for_good(original: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def close(self: Any) -> None:
        try:
            await original(self)
        finally:
            drop(self)

    return close
