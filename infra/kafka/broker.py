"""The embedded broker: a real Apache Kafka that lives and ends with us."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from infra.kafka._archive import provide_archive
from infra.kafka._cache import kafka_cache
from infra.kafka._home import BrokerHome
from infra.kafka._jars import provide_jars
from infra.kafka._java import JavaKafka, java_path
from infra.kafka._launch import Launch
from infra.kafka._lock import read_lock
from infra.kafka.errors import BrokerError
from infra.kafka.events import BrokerEvent
from infra.kafka.settings import BrokerSettings

_log = structlog.get_logger(__name__)


async def provision(settings: BrokerSettings | None = None) -> None:
    """Fill the cache so that the next start needs no network: jars (45 MB), start-up archive.

    Does nothing where all is there (0.1 s, in which every jar is verified). `EmbeddedKafka.start`
    does it itself; call it earlier to do it beside something else.

    Raises:
        BrokerDownloadError, BrokerIntegrityError, BrokerError: as `EmbeddedKafka.start`.
    """
    await _provide(settings or BrokerSettings())


async def _provide(settings: BrokerSettings) -> tuple[JavaKafka, Path | None]:
    cache, lock = kafka_cache(settings.cache_dir), read_lock()
    java = java_path()
    kafka = JavaKafka(java, lock, await provide_jars(lock, cache))
    return kafka, await provide_archive(kafka, cache) if settings.startup_archive else None


class EmbeddedKafka:
    """A real one-node Apache Kafka in KRaft mode, on a free port of 127.0.0.1.

    It ends with this process, however that ends: after kill -9, too, neither Java nor a temporary
    folder stays behind. A terminal's Ctrl-C doesn't reach it: stopping is ours. As a context
    manager it is started and stopped; a session fixture is three lines::

        async with EmbeddedKafka() as kafka:
            producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)

    One event loop and one task at a time use it.
    """

    def __init__(self, settings: BrokerSettings | None = None) -> None:
        self._settings = settings or BrokerSettings()
        self._home: BrokerHome | None = None
        self._launch: Launch | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def bootstrap(self) -> str:
        """Where clients connect, `host:port`; the same over kills and restarts.

        Raises:
            BrokerError: not started.
        """
        return self._started()[0].bootstrap

    @property
    def log_path(self) -> Path:
        """Kafka's log; in the data folder, so it goes with a temporary one.

        Raises:
            BrokerError: not started.
        """
        return self._started()[1].log

    @property
    def data_dir(self) -> Path:
        """The folder of its records.

        Raises:
            BrokerError: not started.
        """
        return self._started()[1].folder

    @property
    def pid(self) -> int | None:
        """Java's process id; None where it doesn't run."""
        return self._launch.pid if self._launch else None

    @property
    def running(self) -> bool:
        """Whether Java runs now."""
        return self._launch is not None and self._launch.running

    async def start(self) -> None:
        """Return once it answers: registered, with a group coordinator, handing out producer ids.

        About 2 s with a filled cache. The first start of all fetches the jars (45 MB) and makes
        the start-up archive (12 to 20 s).

        Raises:
            BrokerStartError: Kafka ended or didn't answer in time; with its log's tail.
            BrokerDownloadError: a jar can't be fetched.
            BrokerIntegrityError: a jar in the cache isn't the locked one.
            BrokerError: already started; the port is taken; a folder can't be written; a wheel is
                missing.
        """
        if self._launch is not None:
            raise BrokerError("already started; stop it first, or restart it")
        began = time.monotonic()
        kafka, archive = await _provide(self._settings)
        home = BrokerHome.open(self._settings.data_dir, failures=kafka.jars.parent)
        launch = await Launch.open(kafka, self._settings, home, archive=archive)
        try:
            await launch.start()
        except BaseException:
            await launch.close()
            raise
        self._home, self._launch = home, launch
        self._say_ready(began)

    async def stop(self) -> None:
        """Stop in order (0.3 s), remove a temporary folder. Does nothing where it isn't started.

        After `stop_timeout_s` seconds Java is killed: acknowledged records survive that, too.
        """
        launch, self._launch, self._home = self._launch, None, None
        if launch is None:
            return
        began = time.monotonic()
        try:
            await launch.end(signal.SIGTERM, within_s=self._settings.stop_timeout_s)
        finally:
            await launch.close()
        _log.info(BrokerEvent.STOPPED, seconds=round(time.monotonic() - began, 2))

    async def kill(self) -> None:
        """Kill it with SIGKILL and return when it is gone; its folder stays, for `restart`.

        Raises:
            BrokerError: not started.
        """
        launch, _ = self._started()
        await launch.end(signal.SIGKILL, within_s=self._settings.stop_timeout_s)
        _log.info(BrokerEvent.KILLED)

    async def restart(self) -> None:
        """Start it again on its folder and port, having stopped it in order where it runs.

        About 2 s after a stop, 3 to 4 s after a kill: the killed one must be fenced first.

        Raises:
            BrokerStartError: as `start`.
            BrokerError: never started, or another program took the port meanwhile.
        """
        launch, _ = self._started()
        began = time.monotonic()
        await launch.end(signal.SIGTERM, within_s=self._settings.stop_timeout_s)
        await launch.start()
        self._say_ready(began)

    async def wait(self) -> int:
        """Wait until Java ends; its exit code, negative for a signal.

        Raises:
            BrokerError: not started.
        """
        return await self._started()[0].wait()

    def log_tail(self) -> str:
        """Give the decisive lines of the log since the latest start: first error, last lines.

        Raises:
            BrokerError: not started.
        """
        return self._started()[1].tail()

    def keep_log(self) -> Path:
        """Give a path of the log that outlives a temporary folder.

        Raises:
            BrokerError: not started.
        """
        return self._started()[1].keep_log()

    def _started(self) -> tuple[Launch, BrokerHome]:
        if self._launch is None or self._home is None:
            raise BrokerError("the broker isn't started")
        return self._launch, self._home

    def _say_ready(self, began: float) -> None:
        seconds = round(time.monotonic() - began, 2)
        _log.info(BrokerEvent.READY, bootstrap=self.bootstrap, pid=self.pid, seconds=seconds)
