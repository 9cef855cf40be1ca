"""All sections as one object, and the combinations between sections that are refused."""

from typing import ClassVar, Self

from pydantic import model_validator

from consumer.settings._model import Cache, Model, Tasks
from consumer.settings._service import Batch, Drain, Fuse, InFlight
from consumer.settings._topics import Input, Output
from runtime.settings import Document, Http, Kafka, Log

COMMIT_S = 5.0
"""What the commit after a drain may take, within the rebalance timeout."""


class Settings(Document):
    """The whole configuration. Made by `load`; tests may make it from keywords."""

    others: ClassVar[frozenset[str]] = frozenset({"monitor"})

    kafka: Kafka = Kafka()
    input: Input = Input()
    output: Output = Output()
    model: Model = Model()
    tasks: Tasks = Tasks()
    batch: Batch = Batch()
    in_flight: InFlight = InFlight()
    cache: Cache = Cache()
    drain: Drain = Drain()
    fuse: Fuse = Fuse()
    http: Http = Http()
    log: Log = Log()

    @model_validator(mode="after")
    def _safe(self) -> Self:
        for name, topic in (
            ("output.events_topic", self.output.events_topic),
            ("output.dlq_topic", self.output.dlq_topic),
        ):
            if self.input.reads(topic):
                raise ValueError(
                    f"{name} {topic!r} is also an input topic, so output would be read back as"
                    " posts, for ever: name another topic or narrow input"
                )
        kafka, budget = self.kafka, self.drain.revoke_s + COMMIT_S
        if budget >= kafka.rebalance_timeout_s:
            raise ValueError(
                f"kafka.rebalance_timeout_s ({kafka.rebalance_timeout_s:g}) must be above"
                f" drain.revoke_s and {COMMIT_S:g} s for its commit ({budget:g}), or drained work"
                " is refused and done again: raise the first or lower the second"
            )
        if kafka.max_poll_interval_s <= kafka.rebalance_timeout_s:
            raise ValueError("kafka.max_poll_interval_s must be above kafka.rebalance_timeout_s")
        if self.http.stuck_after_s <= 2 * self.model.timeout_s:
            raise ValueError(
                f"http.stuck_after_s ({self.http.stuck_after_s:g}) must be above twice"
                f" model.timeout_s ({self.model.timeout_s:g}), or a slow model server gets the"
                " consumer restarted: raise the first or lower the second"
            )
        if self.in_flight.max_posts < self.batch.max_posts:
            raise ValueError("in_flight.max_posts is below batch.max_posts: no batch would fill")
        if self.in_flight.max_bytes < self.batch.max_bytes:
            raise ValueError("in_flight.max_bytes is below batch.max_bytes: no batch would fill")
        return self
