"""The start-up archive: Kafka's classes loaded and linked once, mapped into memory afterwards.

Java 25 calls it an AOT cache (JEP 483, 514). With it the broker starts in 1.1 s instead of 2.3
and the storage tool in 0.4 s instead of 1.2. Java takes it only for the same runtime, jars and
flags, and else starts without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import structlog

from infra.kafka._cache import filling
from infra.kafka._home import BrokerHome
from infra.kafka._jars import sha256_of
from infra.kafka._java import JavaKafka
from infra.kafka._launch import Launch
from infra.kafka._rehearsal import rehearse
from infra.kafka.errors import BrokerError
from infra.kafka.events import BrokerEvent
from infra.kafka.settings import BrokerSettings

_log = structlog.get_logger(__name__)
# Writing the archive takes Java 8 s on two cores; on a machine under load it may take minutes.
_WRITE_TIMEOUT_S = 180.0
_KEPT = 4
"""Archives in the cache, those used last: 68 MB each, and each virtual environment has its own."""


async def provide_archive(kafka: JavaKafka, cache: Path) -> Path | None:
    """Return the archive for this runtime and these jars, having made it where there is none.

    None where it can't be made: that costs 2 s per start, and so is logged, not raised.
    """
    path = cache / f"startup-{kafka.lock.version}-{kafka.archive_key}.aot"
    if await asyncio.to_thread(is_whole, path):
        _mark_used(path)
        return path
    async with filling(cache):
        if await asyncio.to_thread(is_whole, path):
            return path
        forget_unused(cache, keep=_KEPT - 1)
        began = time.monotonic()
        _log.info(BrokerEvent.ARCHIVE_MAKING)
        try:
            await _make(kafka, path)
        except (BrokerError, OSError) as error:
            _log.warning(BrokerEvent.ARCHIVE_FAILED, reason=str(error))
            return None
        seconds = round(time.monotonic() - began, 1)
        _log.info(BrokerEvent.ARCHIVE_MADE, seconds=seconds, bytes=path.stat().st_size)
        return path


def forget_unused(cache: Path, *, keep: int) -> None:
    """Remove all archives but the `keep` that were used last; a running Java keeps what it has.

    And what is half made: whoever holds the cache's lock knows that its maker was killed.
    """
    for left in cache.glob("startup-*.new*"):
        left.unlink(missing_ok=True)
    used = sorted(cache.glob("startup-*.aot"), key=_used_at, reverse=True)
    for path in used[keep:]:
        _seal(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # damaged, and another process has removed it meanwhile
        return 0.0


def _mark_used(path: Path) -> None:
    with contextlib.suppress(OSError):  # a cache that is only read is none that fills
        os.utime(path)


async def _make(kafka: JavaKafka, path: Path) -> None:
    """Run a broker in a temporary folder, use it as we use brokers, and let it write."""
    fresh = path.with_suffix(f".{os.getpid()}.new")
    home = BrokerHome.open(None, failures=path.parent)
    launch = await Launch.open(kafka, BrokerSettings(), home, archive=None)
    try:
        await launch.start(record=fresh)
        await rehearse(launch.bootstrap)
        orderly = await launch.end(signal.SIGTERM, within_s=_WRITE_TIMEOUT_S)
        if not orderly or not fresh.exists():
            raise BrokerError(f"Java wrote no archive: {home.tail()}")
        digest = await asyncio.to_thread(sha256_of, fresh)
        fresh.replace(path)
        seal = _seal(path)
        seal.with_suffix(".new").write_text(digest, encoding="ascii")
        seal.with_suffix(".new").replace(seal)
    finally:
        await launch.close()
        for left in path.parent.glob(f"{fresh.name}*"):
            left.unlink(missing_ok=True)


def _seal(path: Path) -> Path:
    return path.with_suffix(".aot.sha256")


def is_whole(path: Path) -> bool:
    """Say whether the archive is there and as it was written; a damaged one is removed."""
    try:
        sealed = _seal(path).read_text(encoding="ascii")
        whole = sha256_of(path) == sealed
    except FileNotFoundError:
        return False
    if not whole:
        _log.warning(BrokerEvent.ARCHIVE_REFUSED, path=str(path))
        with contextlib.suppress(OSError):
            # The seal first: beside the next archive it would call that one damaged, too.
            _seal(path).unlink()
            path.unlink()
    return whole
