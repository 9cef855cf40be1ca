"""Ending aiokafka's clients, whatever they are doing."""

import asyncio
from typing import Any

from aiokafka.errors import KafkaError


async def stop_client(client: Any, *, within_s: float) -> None:
    """Stop a consumer, a producer or an admin client; leave it after `within_s` seconds.

    With its broker away aiokafka's consumer lets out that it has cancelled its own fetching: that
    is no cancellation of ours.
    """
    try:
        async with asyncio.timeout(within_s):
            await client.stop()
    except (TimeoutError, KafkaError):
        pass
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
