"""Looking for a coordinator while the brokers name none of the cluster.

A broker that has just started, or was away until its lease ran out, answers before it is part of
its own cluster: with no broker at all. aiokafka 0.14 takes that for a mistake of the caller's, and
its AssertionError ended a consumer that was to try again. Here it is one more reason to wait.
"""

from typing import Any

from aiokafka.errors import NodeNotReadyError


def wait_for_brokers(client: Any) -> None:
    """Have a client of aiokafka's ask again where it knows no broker to ask for a coordinator."""
    lookup = client.coordinator_lookup

    async def coordinator_lookup(kind: int, key: str) -> Any:
        if not client.cluster.brokers():
            raise NodeNotReadyError("the brokers name none of the cluster")
        return await lookup(kind, key)

    client.coordinator_lookup = coordinator_lookup
