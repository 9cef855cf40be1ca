"""The whole consumer: settings → service → exit status."""

import asyncio
import gc
from collections.abc import Callable, Sequence
from functools import partial

import structlog
import uvloop

from consumer.analysis.analyzer import Analyzer
from consumer.analysis.kept_pool import KeptPool
from consumer.analysis.plan import Plan, make_plan
from consumer.assembly import (
    identifiers,
    kafka_options,
    keep_second,
    make_analyzer,
    make_model_pool,
    open_model,
    second_server_options,
    second_tasks,
    server_options,
)
from consumer.delivery.service import Service
from consumer.options import Until
from consumer.processor import Done
from consumer.records import Record
from consumer.registry import ConsumerRegistry
from consumer.settings import Settings
from consumer.telemetry import log_events
from consumer.telemetry.health import Health
from consumer.telemetry.meter import Meter
from consumer.telemetry.progress import Progress
from emollm.errors import Unavailable
from emollm.pool import Pool, ServerState
from emollm.protocol import ServerInfo
from runtime.clock import SystemClock
from runtime.errors import EXIT_MISCONFIGURED, Broken, Misconfigured, ServiceError
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.errors import KafkaFault
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import Brokers
from runtime.settings import ConfigError
from runtime.telemetry import log_events as shared_events
from runtime.telemetry.health_server import HealthServer

__all__ = [
    "kafka_options",
    "main",
    "make_analyzer",
    "open_model",
    "run",
    "server_options",
]

_log = structlog.get_logger("consumer")

_GRACE_S = 10.0
"""The first model's canary takes longer than a small one's: at a start of both, no post is the
second's alone for that. A group that is joined ten seconds later waits for nobody."""
_SECOND_GRACE_S = 3.0
"""And the other way round: at a start of both, no post is the first's alone. A second that isn't
there delays the start by no more."""


def main(settings: Settings, *, on_ready: Callable[[str], None] | None = None) -> int:
    """Run the consumer on an event loop of its own, to its end; give the exit status."""
    # What was imported stays, so it needn't be looked at again; what is new is, each 5,000 objects
    # instead of each 700. Not each 50,000: with a backlog of long posts, cycles grew to 150 MB.
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)
    return uvloop.run(run(settings, on_ready=on_ready))


async def run(
    settings: Settings,
    *,
    until: Until | None = None,
    signals: bool = True,
    on_ready: Callable[[str], None] | None = None,
    make_brokers: Callable[[KafkaOptions], Brokers] = AiokafkaBrokers,
) -> int:
    """Run the consumer until it is stopped, fails, or `until`; set logging up before.

    `on_ready` is called once, with a line for a person, when the group has given this member its
    partitions. With `signals`, SIGTERM and SIGINT stop it cleanly, a second one at once.
    `make_brokers` is the seam to Kafka.

    Returns:
        The exit status: 0 done, 1 broken (start it again), 2 wrong configuration, 3 stopped by
        the fuse, the canary or refused credentials. Why is in the log.
    """
    try:
        servers = [one.shown for one in server_options(settings)]
    except (ConfigError, ValueError, OSError) as error:  # a key that no header can carry
        return _failed(error, EXIT_MISCONFIGURED)
    meter = _Announcing(on_ready, settings, servers)
    health = Health(stuck_after_s=settings.http.stuck_after_s, meter=meter)
    server = HealthServer(settings.http, health, meter, warnings=health.warnings)
    try:
        # First of all: whoever waits for Kafka or a model server is seen to.
        await server.start()
        meter.listens_at = server.url
        _log.info(shared_events.HEALTH_LISTENS, url=server.url)
        options = kafka_options(settings)  # reads the TLS files, once
        brokers = make_brokers(options)
        analysis = _Analysis(settings, brokers, meter)
        service = Service(
            options,
            analysis,
            limits=settings.service_limits(),
            observer=meter,
            brokers=brokers,
            before_joining=analysis.open,
            beside=analysis.watch,
            reporting=lambda: meter.progress.report(service.snapshot, SystemClock()),
            conceal=identifiers(settings).dead_letter,
        )
        meter.snapshot = health.snapshot = service.snapshot
        health.servers = analysis.servers
        health.registry = analysis.registry.problems
        if settings.model.second.servers:
            health.second = analysis.second_problems
        try:
            return await service.run(until=until, signals=signals)
        finally:
            await analysis.aclose()
    except ServiceError as error:
        return _failed(error, error.exit_code)
    except (ConfigError, ValueError, OSError) as error:  # of the settings: a CA file, a key
        return _failed(error, EXIT_MISCONFIGURED)
    finally:
        await server.stop()


class _Analysis:
    """The record processor, from before a model server has answered: it can't be asked then."""

    def __init__(self, settings: Settings, brokers: Brokers, meter: Meter) -> None:
        self._settings = settings
        self._brokers = brokers
        self._meter = meter
        self.registry = ConsumerRegistry(settings, meter)
        meter.registry_waiting = self.registry.waiting
        self._pool: Pool | None = None
        self._second: KeptPool | None = None
        self._beside: list[asyncio.Task[None]] = []
        """What has to go on for the analysis to work; each runs until it is cancelled or fails."""
        self._analyzer: Analyzer | None = None

    async def open(self) -> None:
        """Wait until a model server has passed the canary, as long as `model.wait_s` says.

        Raises:
            emollm.errors.ModelError: none can be used, or none answered in time.
            Misconfigured: the model is unknown, or its limits leave no room for a post.
            Broken: no broker names its cluster.
        """
        settings, meter = self._settings, self._meter
        try:
            cluster_id = settings.kafka.cluster_id or await self._brokers.cluster_id()
        except KafkaFault as error:
            raise Broken(
                f"no broker names its cluster (or set kafka.cluster_id): {error}"
            ) from error
        try:
            await self.registry.open()
            plan = make_plan(settings.tasks, settings.tasks.custom_tasks())
            meter.expect(
                [server.shown for server in server_options(settings)],
                [task.name for task in plan.tasks],
            )
            self._open_second(plan)
            pool = await self._open_first(plan)
            self._analyzer = make_analyzer(
                settings,
                plan,
                pool,
                meter,
                cluster_id=cluster_id,
                second=self._second,
                registry=self.registry,
            )
        except (ConfigError, ValueError, OSError) as error:
            raise Misconfigured(str(error)) from error

    def _open_second(self, plan: Plan) -> None:
        """Begin to open the second model's pool; nobody waits for it."""
        self._second = second = keep_second(self._settings, plan, self._meter)
        if second is None:
            return
        servers = [
            [server.shown for server in options(self._settings)]
            for options in (server_options, second_server_options)
        ]
        self._meter.expect(servers[1], [task.name for task in second_tasks(self._settings, plan)])
        self._meter.expect_second(*servers)
        self._meter.second_available = lambda: second.available
        self._beside.append(asyncio.ensure_future(second.run()))

    async def _open_first(self, plan: Plan) -> Pool:
        """Wait for the model's pool; where the second stands in, for either."""
        settings = self._settings
        if self._second is None or settings.model.second.on_outage == "wait":
            self._pool = await open_model(settings, plan, self._meter)
            self._meter.model = self._pool.info
            self._say_ready(plan, self._pool.info)
            if self._second is not None:
                waiting = asyncio.ensure_future(self._second.wait_available())
                await asyncio.wait((waiting,), timeout=_SECOND_GRACE_S)
                waiting.cancel()
            return self._pool
        self._pool = pool = make_model_pool(settings.model, plan.tasks, self._meter)
        starting = asyncio.ensure_future(self._start_first(plan, pool))
        self._beside.append(starting)
        await self._either(starting, self._second, settings.model.wait_s or None)
        return pool

    async def _start_first(self, plan: Plan, pool: Pool) -> None:
        await pool.start()
        self._meter.model = pool.info
        self._say_ready(plan, pool.info)
        await pool.watch()

    async def _either(
        self, starting: asyncio.Task[None], second: KeptPool, wait_s: float | None
    ) -> None:
        """Wait until one of two models takes prompts, a little longer for the first one.

        Raises:
            emollm.errors.ModelError: the first can't be used, or neither answered in time.
        """
        assert self._pool is not None
        first = asyncio.ensure_future(self._pool.wait_available())
        other = asyncio.ensure_future(second.wait_available())
        try:
            done, _ = await asyncio.wait(
                (starting, first, other), timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
            )
            if done == {other}:
                await asyncio.wait(
                    (starting, first), timeout=_GRACE_S, return_when=asyncio.FIRST_COMPLETED
                )
            for task in (starting, first):
                if task.done():
                    task.result()
            if not done:
                raise Unavailable("no model server answered within model.wait_s, of neither model")
        finally:
            for task in (first, other):
                task.cancel()
            await asyncio.gather(first, other, return_exceptions=True)

    def _say_ready(self, plan: Plan, info: ServerInfo) -> None:
        model = self._settings.model
        _log.info(
            log_events.MODEL_READY,
            model=model.name or info.model_id,
            revision=model.revision or info.model_revision,
            dialect=info.dialect,
            tasks=plan.signature,
        )

    async def watch(self) -> None:
        """Raise what ends the pool of model servers, also while nothing is asked."""
        assert self._pool is not None
        assert self._analyzer is not None
        beside = [*self._beside, asyncio.ensure_future(self._pool.watch())]
        if self._second is not None:
            beside.append(asyncio.ensure_future(self._analyzer.watch()))
        self._beside = beside
        await asyncio.gather(*beside)

    async def aclose(self) -> None:
        """Close the connections to the model servers."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        if self._pool is not None:
            await self._pool.aclose()

    def second_problems(self) -> list[str]:
        """What is wrong with the second model; empty where it answers, or isn't configured."""
        if self._second is None:
            return []
        found = self._second.problems()
        return found if self._analyzer is None else found + self._analyzer.second_problems()

    def servers(self) -> Sequence[ServerState]:
        """How the model servers are doing; none before the first has answered."""
        return self._pool.servers() if self._pool is not None else ()

    @property
    def available(self) -> bool:
        """Whether a model server takes prompts now."""
        return self._analyzer is not None and self._analyzer.available

    @property
    def model(self) -> str | None:
        """The model's id."""
        return self._analyzer.model if self._analyzer is not None else None

    async def wait_available(self) -> None:
        """Return as soon as `available` is True. Not before `open` has returned."""
        assert self._analyzer is not None
        await self._analyzer.wait_available()

    async def process(self, records: Sequence[Record], done: Done, *, turn: int = 0) -> None:
        """See `consumer.processor.RecordProcessor`. Not before `open` has returned."""
        assert self._analyzer is not None
        analyse = partial(self._analyzer.process, turn=turn)
        if self.registry.first is None:
            await analyse(records, done)
        else:
            await self.registry.first.process(analyse, records, done)


class _Announcing(Meter):
    """Says once that the group has given this member its partitions, and how it goes."""

    def __init__(
        self, on_ready: Callable[[str], None] | None, settings: Settings, servers: list[str]
    ) -> None:
        super().__init__()
        self._on_ready = on_ready
        self._settings = settings
        self.listens_at: str | None = None
        self.progress = Progress(servers, wait_s=settings.model.wait_s)

    def dead_letter(self, stage: str, class_name: str) -> None:
        """Count it; the first of its class is news."""
        super().dead_letter(stage, class_name)
        self.progress.dead_letter(stage, class_name)

    def rebalanced(self, assigned: int) -> None:
        """Count it; the first one makes ready."""
        super().rebalanced(assigned)
        if self._on_ready is not None:
            say, self._on_ready = self._on_ready, None
            group = self._settings.input.group_id
            where = f", health and metrics at {self.listens_at}" if self.listens_at else ""
            say(f"emostream consumer is ready: group {group}, {assigned} partitions{where}")


def _failed(error: Exception, status: int) -> int:
    _log.error(
        log_events.NOT_STARTED, error=type(error).__name__, reason=str(error), exit_code=status
    )
    return status
