"""A real broker with several listeners of its own, each on a free port."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from infra.kafka import BrokerError, BrokerSettings, EmbeddedKafka
from infra.kafka._ports import free_port

_TRIES = 4
"""As the broker itself has for the one port that it draws."""


@asynccontextmanager
async def on_free_ports(
    count: int, settings: Callable[..., BrokerSettings]
) -> AsyncIterator[tuple[int, ...]]:
    """Run the broker that `settings` makes of so many ports, until the block ends.

    Between the draw and Java's start, which takes seconds, another program may take one of them:
    then it is others.
    """
    for left in reversed(range(_TRIES)):
        ports = _draw(count)
        broker = EmbeddedKafka(settings(*ports))
        try:
            await broker.start()
        except BrokerError as error:
            if not left or "in use" not in str(error):
                raise
        else:
            break
    try:
        yield ports
    finally:
        await broker.stop()


def _draw(count: int) -> tuple[int, ...]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port("127.0.0.1"))
    return tuple(ports)
