"""Kafka's jars: fetched once through jgo, verified before every start."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from infra.kafka._cache import filling
from infra.kafka._lock import KafkaLock, LockedJar
from infra.kafka.errors import BrokerDownloadError, BrokerError, BrokerIntegrityError
from infra.kafka.events import BrokerEvent

_log = structlog.get_logger(__name__)
_CENTRAL = "https://repo.maven.apache.org/maven2"
# Six at a time: 44 MB in 7 s where one at a time takes 25; more is impolite to a public server.
_AT_ONCE = 6
_TIMEOUT_S = 30
_ATTEMPTS = 3
_STAGING = "staging-"


def sha256_of(path: Path) -> str:
    """Hash a file; 43 MB take 35 ms."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_jars(lock: KafkaLock, folder: Path) -> list[LockedJar]:
    """Check every jar in `folder` against the lock, and return those that aren't there.

    Raises:
        BrokerIntegrityError: a jar that is there has another size or SHA-256. It is left where
            it is, for whoever wants to know why.
    """
    missing = []
    for jar in lock.jars:
        path = folder / jar.filename
        try:
            _check(jar, path, f"delete the folder {folder}, and the next start fetches it again")
        except FileNotFoundError:
            missing.append(jar)
    return missing


def _check(jar: LockedJar, path: Path, remedy: str) -> None:
    size = path.stat().st_size
    found = sha256_of(path) if size == jar.size else f"another size, {size} bytes"
    if found != jar.sha256:
        raise BrokerIntegrityError(
            f"{path} is not {jar.coordinate}: SHA-256 {jar.sha256} is locked, found {found}; "
            f"it is not started; {remedy}",
        )


async def provide_jars(lock: KafkaLock, cache: Path) -> Path:
    """Return the folder of the verified jars, having fetched those that weren't there.

    Raises:
        BrokerDownloadError: a jar can't be fetched. What was fetched whole stays, the rest goes.
        BrokerIntegrityError: a jar isn't the locked one.
        BrokerError: jgo isn't installed, or the cache can't be written.
    """
    folder = cache / f"jars-{lock.version}-{lock.digest}"
    if not await asyncio.to_thread(verify_jars, lock, folder):
        return folder
    async with filling(cache):
        # Another process may have filled it while we waited.
        if missing := await asyncio.to_thread(verify_jars, lock, folder):
            began = time.monotonic()
            size = sum(jar.size for jar in missing)
            _log.info(BrokerEvent.JARS_DOWNLOADING, missing=len(missing), bytes=size)
            await _fetch_all(missing, cache, folder)
            seconds = round(time.monotonic() - began, 1)
            _log.info(BrokerEvent.JARS_DOWNLOADED, bytes=size, seconds=seconds)
    return folder


async def _fetch_all(jars: Sequence[LockedJar], cache: Path, folder: Path) -> None:
    staging = _make_staging(cache, folder)
    given_up = threading.Event()
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="kafka-jars")
    try:
        await asyncio.gather(
            *(loop.run_in_executor(pool, _fetch, jar, staging, folder, given_up) for jar in jars),
        )
    finally:
        given_up.set()
        pool.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(staging, ignore_errors=True)


def _make_staging(cache: Path, folder: Path) -> Path:
    # A staging folder that is here while we hold the lock was left by a process that was killed.
    for stale in cache.glob(f"{_STAGING}*"):
        shutil.rmtree(stale, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=_STAGING, dir=cache))


def _fetch(jar: LockedJar, staging: Path, folder: Path, given_up: threading.Event) -> None:
    """Fetch one jar; leave nothing aside once another one has failed."""
    try:
        _fetch_whole(jar, staging, folder, given_up)
    finally:
        # An error doesn't wait for the downloads that are under way: one that ends later may have
        # made the staging folder again after it was removed.
        if given_up.is_set():
            shutil.rmtree(staging, ignore_errors=True)


def _fetch_whole(jar: LockedJar, staging: Path, folder: Path, given_up: threading.Event) -> None:
    """Fetch one jar aside, verify it, and only then put it in place, in one step."""
    problem: Exception | None = None
    for attempt in range(_ATTEMPTS):
        if given_up.wait(attempt):
            return
        aside = staging / f"{jar.filename}.{attempt}"
        try:
            path = _download(jar, aside)
            _check(jar, path, f"does {_repository()} serve what Maven Central does?")
            path.replace(folder / jar.filename)
        except (BrokerError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - jgo lets requests', its own and OS errors out
            problem = error
        else:
            return
    raise BrokerDownloadError(
        f"{jar.coordinate} could not be fetched from {_repository()} ({problem}). Is the network "
        "up, and does it allow that address (HTTPS_PROXY, or a mirror in EMOSTREAM_MAVEN_URL)? "
        "Then start again: what has arrived is kept.",
    ) from problem


def _download(jar: LockedJar, aside: Path) -> Path:
    """Let jgo fetch exactly one file into a repository of its own: no ~/.m2, no resolving."""
    maven = _import_jgo()
    context = maven.MavenContext(
        repo_cache=aside, remote_repos={"central": _repository()}, timeout=_TIMEOUT_S
    )
    return Path(context.create_dependency(jar.coordinate).artifact.resolve())


def _import_jgo() -> Any:
    try:
        import jgo.maven  # noqa: PLC0415 - an extra, and slow to import: only when fetching
    except ImportError as error:
        raise BrokerError(
            "the embedded broker needs jgo: install emostream[embedded]",
        ) from error
    return jgo.maven


def _repository() -> str:
    return os.environ.get("EMOSTREAM_MAVEN_URL", _CENTRAL).rstrip("/")
