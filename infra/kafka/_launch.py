"""One Kafka process under one guard: formatted, started, waited for, ended."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Self

import structlog

from infra.kafka._home import BrokerHome, new_cluster_id
from infra.kafka._java import JavaKafka
from infra.kafka._ports import address, free_port, is_free
from infra.kafka._properties import render_properties
from infra.kafka._ready import answering
from infra.kafka._supervisor import Supervisor
from infra.kafka.errors import BrokerError, BrokerStartError
from infra.kafka.events import BrokerEvent
from infra.kafka.settings import BrokerSettings

_log = structlog.get_logger(__name__)
_PORT_ATTEMPTS = 4
_COLLISION = "Address already in use"
# The storage tool takes half a second; a loaded machine gets time.
_FORMAT_TIMEOUT_S = 60.0


class Launch:
    """Starts and ends the Kafka of one home, any number of times; its clients' port stays."""

    def __init__(
        self,
        kafka: JavaKafka,
        settings: BrokerSettings,
        home: BrokerHome,
        supervisor: Supervisor,
        archive: Path | None,
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._home = home
        self._supervisor = supervisor
        self._archive = archive
        self._port: int | None = settings.port

    @classmethod
    async def open(
        cls,
        kafka: JavaKafka,
        settings: BrokerSettings,
        home: BrokerHome,
        *,
        archive: Path | None,
    ) -> Self:
        """Start the guard that ties everything further to our life."""
        remove = home.folder if home.temporary else None
        try:
            supervisor = await Supervisor.open(remove=remove, grace_s=settings.stop_timeout_s)
        except BaseException:
            home.remove()
            raise
        return cls(kafka, settings, home, supervisor, archive)

    @property
    def bootstrap(self) -> str:
        """Where clients connect: `host:port`."""
        assert self._port is not None
        return address(self._settings.host, self._port)

    @property
    def pid(self) -> int | None:
        """Java's process id while it runs."""
        return self._supervisor.pid

    @property
    def running(self) -> bool:
        """Whether Java runs."""
        return self._supervisor.running

    async def wait(self) -> int:
        """Wait for Java's end; its exit code, negative for a signal."""
        return await self._supervisor.wait()

    async def end(self, number: signal.Signals, *, within_s: float) -> bool:
        """Signal Java and wait for its end; False where it took SIGKILL after `within_s`."""
        return await self._supervisor.end(number, within_s=within_s)

    async def close(self) -> None:
        """End what runs, remove a temporary home, let the guard go."""
        await self._supervisor.close()
        self._home.remove()

    async def start(self, *, record: Path | None = None) -> None:
        """Start Kafka and return once it answers; `record`: write an archive there at its end.

        Raises:
            BrokerStartError: it ended or didn't answer in time; it isn't running any more.
            BrokerError: the port asked for is taken; the guard was killed.
        """
        self._supervisor.check()
        keeps_port = self._port is not None
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            port = self._choose_port()
            self._home.prepare_launch()
            self._write_properties(port)
            await self._format_once()
            try:
                await self._serve(port, record)
            except BrokerStartError:
                collided = _COLLISION in self._home.launch_log()
                if keeps_port or not collided or attempt == _PORT_ATTEMPTS:
                    raise
                _log.info(BrokerEvent.PORT_TAKEN, attempt=attempt)
            else:
                self._port = port
                return

    def _choose_port(self) -> int:
        host = self._settings.host
        if self._port is None:
            return free_port(host)
        if not is_free(host, self._port):
            raise BrokerError(
                f"port {self._port} of {host} is in use or not this machine's: end the program "
                "that holds it, or leave the port out and a free one is taken",
            )
        return self._port

    def _write_properties(self, port: int) -> None:
        text = render_properties(
            self._settings,
            log_dir=self._home.records,
            port=port,
            controller_port=free_port("127.0.0.1", other_than=port),
        )
        self._home.properties.write_text(text, encoding="utf-8")

    async def _format_once(self) -> None:
        if self._home.read_cluster_id() is not None:
            return
        command = self._kafka.format_storage(
            self._home.properties,
            cluster_id=new_cluster_id(),
            temp=self._home.temp,
            archive=self._archive,
        )
        await self._supervisor.run(command, log=self._home.log)
        try:
            code = await asyncio.wait_for(self._supervisor.wait(), _FORMAT_TIMEOUT_S)
        except TimeoutError:
            await self._supervisor.end(signal.SIGKILL, within_s=_FORMAT_TIMEOUT_S)
            raise self._failure(f"formatting took over {_FORMAT_TIMEOUT_S:.0f} s") from None
        if code != 0 or self._home.read_cluster_id() is None:
            raise self._failure(f"the data folder could not be formatted (exit {code})")
        _log.info(BrokerEvent.FORMATTED, data_dir=str(self._home.folder))

    async def _serve(self, port: int, record: Path | None) -> None:
        make = self._kafka.serve if record is None else self._kafka.serve_and_record
        command = make(
            self._home.properties,
            heap_mb=self._settings.heap_mb,
            temp=self._home.temp,
            archive=record or self._archive,
        )
        cluster_id = self._home.read_cluster_id()
        assert cluster_id is not None
        await self._supervisor.run(command, log=self._home.log)
        ready = asyncio.create_task(answering(self._settings.host, port, cluster_id))
        ended = asyncio.create_task(self._supervisor.wait())
        try:
            await asyncio.wait(
                {ready, ended},
                timeout=self._settings.start_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if ended.done():
                raise self._failure(f"Kafka ended while starting (exit {ended.result()})")
            if not ready.done():
                await self._supervisor.end(signal.SIGKILL, within_s=self._settings.stop_timeout_s)
                seconds = self._settings.start_timeout_s
                raise self._failure(f"Kafka didn't answer within {seconds:.0f} s")
            ready.result()
        finally:
            ready.cancel()
            ended.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)

    def _failure(self, reason: str) -> BrokerStartError:
        return BrokerStartError(reason, log_path=self._home.keep_log(), log_tail=self._home.tail())
