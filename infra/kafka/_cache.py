"""Where downloads are kept, and one process at a time that fills it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from infra.kafka.errors import BrokerError
from runtime.cache_folder import cache_folder

_POLL_S = 0.1


def kafka_cache(chosen: Path | None) -> Path:
    """Give the cache's folder `kafka`; see `runtime.cache_folder`."""
    return cache_folder("kafka", chosen)


@contextlib.asynccontextmanager
async def filling(cache: Path) -> AsyncIterator[None]:
    """Hold the cache against other processes that would fill it at the same time.

    The lock is the kernel's: it goes when its holder does, however that ends.
    """
    with _lock_file(cache) as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(_POLL_S)
            else:
                break
        yield


def _lock_file(cache: Path) -> IO[str]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        return (cache / ".lock").open("w")
    except OSError as error:
        raise BrokerError(
            f"the cache folder {cache} can't be written ({error.strerror}): name another in "
            "EMOSTREAM_CACHE_DIR",
        ) from error
