"""All sections as one object, and the combinations between sections that are refused."""

from typing import Any, ClassVar, Self

from pydantic import model_validator

from consumer.checks import check
from consumer.options import BatchLimits, DrainBudget, FuseLimits, InFlightLimits, ServiceLimits
from consumer.settings._model import Cache, Model, Tasks
from consumer.settings._service import Batch, Delivery, Drain, Fuse, InFlight
from consumer.settings._topics import Input, Output
from emollm.tasks import EI_REG, TASKS, V_REG
from runtime.errors import Misconfigured
from runtime.kafka.options import KafkaOptions
from runtime.settings import Document, Http, Kafka, Log, Registry, Tracing

_HEARTBEATS = 3
"""Of a session timeout: two may be lost. Kafka's own advice."""
_POLL_INTERVAL_S = 300.0
"""Kafka's default. The consumer polls all the time, so only a stuck process comes near it."""


class Settings(Document):
    """The whole configuration. Made by `load`; tests may make it from keywords."""

    others: ClassVar[frozenset[str]] = frozenset({"monitor"})

    kafka: Kafka = Kafka()
    registry: Registry = Registry()
    input: Input = Input()
    output: Output = Output()
    model: Model = Model()
    tasks: Tasks = Tasks()
    batch: Batch = Batch()
    in_flight: InFlight = InFlight()
    cache: Cache = Cache()
    drain: Drain = Drain()
    delivery: Delivery = Delivery()
    fuse: Fuse = Fuse()
    http: Http = Http()
    log: Log = Log()
    tracing: Tracing = Tracing()

    @model_validator(mode="after")
    def _safe(self) -> Self:
        try:
            check(self.kafka_options({}), self.service_limits())
        except Misconfigured as error:
            raise ValueError(str(error)) from None
        if self.http.stuck_after_s <= 2 * self.model.timeout_s:
            raise ValueError(
                f"http.stuck_after_s ({self.http.stuck_after_s:g}) must be above twice"
                f" model.timeout_s ({self.model.timeout_s:g}), or a slow model server gets the"
                " consumer restarted: raise the first or lower the second"
            )
        if self.http.stuck_after_s <= self.kafka.rebalance_timeout_s:
            raise ValueError(
                f"http.stuck_after_s ({self.http.stuck_after_s:g}) must be above"
                f" kafka.rebalance_timeout_s ({self.kafka.rebalance_timeout_s:g}), or a rebalance"
                " that waits for a slow member gets all the others restarted: raise the first or"
                " lower the second"
            )
        if self.in_flight.max_posts < self.batch.max_posts:
            raise ValueError("in_flight.max_posts is below batch.max_posts: no batch would fill")
        if self.input.value == "registry" and not self.registry.urls:
            raise ValueError('input.value = "registry" needs a registry: name it in registry.urls')
        self._check_second()
        return self

    def _check_second(self) -> None:
        second = self.model.second
        if not second.servers:
            if second.on_outage == "second" or second.shed_above_age_s:
                key = "on_outage" if second.on_outage == "second" else "shed_above_age_s"
                raise ValueError(
                    f"model.second.{key} needs a second model, and none is configured: name its"
                    f" servers in model.second.servers, or take {key} out"
                )
            return
        alone = set(second.second_tasks)
        asked = self.tasks.asked()
        known = {*asked, *TASKS}
        if unknown := sorted(alone - known):
            raise ValueError(
                f"model.second.second_tasks: {unknown[0]!r} is no task: {', '.join(sorted(known))}"
            )
        if not asked & (alone | ({V_REG.name, EI_REG.name} if second.weight else set())):
            raise ValueError(
                "model.second would be asked nothing: name tasks of [tasks] in second_tasks"
            )
        if asked <= alone:
            raise ValueError(
                "model.second.second_tasks has every task, so model.servers would be asked nothing:"
                " leave one out, or make the second's servers model.servers"
            )

    def kafka_options(self, security: dict[str, Any]) -> KafkaOptions:
        """Where posts come from and events go; `security` is what `client_security` made."""
        kafka, source, output, delivery = self.kafka, self.input, self.output, self.delivery
        return KafkaOptions(
            bootstrap=kafka.bootstrap,
            group_id=source.group_id,
            input_topics=source.topics,
            input_pattern=source.pattern or None,
            output_topic=output.events_topic,
            dlq_topic=output.dlq_topic,
            security=security,
            client_id=kafka.client_id,
            group_instance_id=source.group_instance_id or None,
            auto_offset_reset=source.auto_offset_reset,
            session_timeout_s=kafka.session_timeout_s,
            heartbeat_interval_s=kafka.session_timeout_s / _HEARTBEATS,
            rebalance_timeout_s=kafka.rebalance_timeout_s,
            max_poll_interval_s=max(_POLL_INTERVAL_S, 2 * kafka.rebalance_timeout_s),
            request_timeout_s=kafka.request_timeout_s,
            compression=output.compression,
            max_request_bytes=output.max_event_bytes,
            guarantee=delivery.guarantee,
            transactional_id_prefix=delivery.transactional_id_prefix,
            transaction_timeout_s=delivery.transaction_timeout_s,
        )

    def service_limits(self) -> ServiceLimits:
        """Give the bounds that the service keeps."""
        batch, in_flight, drain = self.batch, self.in_flight, self.drain
        return ServiceLimits(
            batch=BatchLimits(
                max_posts=batch.max_posts,
                max_wait_s=batch.max_wait_s,
                max_concurrent_posts=batch.max_concurrent_posts,
            ),
            in_flight=InFlightLimits(max_posts=in_flight.max_posts, max_bytes=in_flight.max_bytes),
            drain=DrainBudget(revoke_s=drain.revoke_s, stop_s=drain.stop_s),
            fuse=FuseLimits(share=self.fuse.share),
        )
