"""The whole consumer: settings → pool → canary → analyzer → service → exit status."""

import asyncio
import gc
import sys
from collections.abc import Callable
from contextlib import nullcontext

import structlog

from consumer.analysis.plan import Plan, make_plan
from consumer.assembly import (
    kafka_options,
    make_analyzer,
    open_model,
    server_options,
)
from consumer.delivery.service import (
    EXIT_BROKEN,
    EXIT_DONE,
    EXIT_HALTED,
    EXIT_MISCONFIGURED,
    Service,
)
from consumer.options import Until
from consumer.settings import Settings
from consumer.telemetry import log_events
from consumer.telemetry.health import Health
from consumer.telemetry.meter import Meter
from emollm.errors import ModelError, Stop
from emollm.pool import Pool
from runtime.errors import ServiceError
from runtime.kafka.aiokafka_brokers import AiokafkaBrokers
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import Brokers
from runtime.settings import ConfigError
from runtime.signals import caught_signals
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


def main(settings: Settings, *, on_ready: Callable[[str], None] | None = None) -> int:
    """Run the consumer on an event loop of its own, to its end; give the exit status."""
    # What was imported stays, so it needn't be looked at again; what is new is, each 5,000 objects
    # instead of each 700. Not each 50,000: with a backlog of long posts, cycles grew to 150 MB.
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)
    if sys.platform == "win32":
        return asyncio.run(run(settings, on_ready=on_ready))
    import uvloop  # noqa: PLC0415 - there is none for Windows

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
    health = Health(stuck_after_s=settings.http.stuck_after_s)
    meter = _Announcing(on_ready, settings)
    server = HealthServer(settings.http, health, meter)
    try:
        await server.start()
        meter.listens_at = server.url
        _log.info(shared_events.HEALTH_LISTENS, url=server.url)
        options = kafka_options(settings)  # reads the TLS files, once
        brokers = make_brokers(options)
        return await _run(settings, options, meter, health, brokers, until=until, signals=signals)
    except ServiceError as error:
        return _failed(error, error.exit_code)
    except Stop as error:
        return _failed(error, EXIT_HALTED)
    except ModelError as error:  # no model server answered within model.wait_s
        return _failed(error, EXIT_BROKEN)
    except (ConfigError, ValueError, OSError) as error:
        # Of making things from the settings: an unknown model, no room for a post, a CA file.
        return _failed(error, EXIT_MISCONFIGURED)
    finally:
        await server.stop()


class _Announcing(Meter):
    """Says once that the group has given this member its partitions."""

    def __init__(self, on_ready: Callable[[str], None] | None, settings: Settings) -> None:
        super().__init__()
        self._on_ready = on_ready
        self._settings = settings
        self.listens_at: str | None = None

    def rebalanced(self, assigned: int) -> None:
        """Count it; the first one makes ready."""
        super().rebalanced(assigned)
        if self._on_ready is not None:
            say, self._on_ready = self._on_ready, None
            group = self._settings.input.group_id
            where = f", health and metrics at {self.listens_at}" if self.listens_at else ""
            say(f"emostream consumer is ready: group {group}, {assigned} partitions{where}")


async def _run(
    settings: Settings,
    options: KafkaOptions,
    meter: Meter,
    health: Health,
    brokers: Brokers,
    *,
    until: Until | None,
    signals: bool,
) -> int:
    plan = make_plan(settings.tasks, settings.tasks.custom_tasks())
    pool = await _open_or_stop(settings, plan, meter, signals=signals)
    if pool is None:
        return EXIT_DONE
    try:
        meter.model, health.servers = pool.info, pool.servers
        _log.info(
            log_events.MODEL_READY,
            model=settings.model.name or pool.info.model_id,
            revision=settings.model.revision or pool.info.model_revision,
            dialect=pool.info.dialect,
            tasks=plan.signature,
        )
        analyzer = make_analyzer(settings, plan, pool, meter)
        service = Service(
            options,
            analyzer,
            limits=settings.service_limits(),
            observer=meter,
            brokers=brokers,
        )
        meter.snapshot = health.snapshot = service.snapshot
        return await service.run(until=until, signals=signals)
    finally:
        await pool.aclose()


async def _open_or_stop(
    settings: Settings, plan: Plan, meter: Meter, *, signals: bool
) -> Pool | None:
    """Wait for a model server, for as long as it takes; None when told to stop meanwhile."""
    stopped: list[str] = []
    opening = asyncio.ensure_future(open_model(settings, plan, meter))

    def stop(name: str) -> None:
        stopped.append(name)
        opening.cancel()

    with caught_signals(stop) if signals else nullcontext():
        try:
            return await opening
        except asyncio.CancelledError:
            if not stopped:
                raise
            _log.info(log_events.STOPPED_WAITING, signal=stopped[0])
            return None


def _failed(error: Exception, status: int) -> int:
    _log.error(
        log_events.NOT_STARTED, error=type(error).__name__, reason=str(error), exit_code=status
    )
    return status
