"""How the service works: batches, memory, stopping, and what it tells the operator."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from consumer.options import BatchLimits, DrainBudget, FuseLimits, InFlightLimits
from runtime.kafka.options import TRANSACTION_TIMEOUT_S, Guarantee
from runtime.settings.section import Section

_BATCH = BatchLimits()
_IN_FLIGHT = InFlightLimits()
_DRAIN = DrainBudget()
_FUSE = FuseLimits()


class Batch(Section):
    """When a micro-batch closes."""

    removed: ClassVar[Mapping[str, str]] = {
        "max_bytes": "a batch closes at 1 MiB; in_flight.max_bytes bounds the memory",
        "max_concurrent": "use batch.max_concurrent_posts",
    }

    max_posts: Annotated[int, Field(ge=1, le=10_000)] = _BATCH.max_posts
    """Posts of a full batch."""
    max_wait_s: Annotated[float, Field(ge=0, le=60)] = _BATCH.max_wait_s
    """Seconds after its first post at which a batch closes, full or not."""
    max_concurrent_posts: Annotated[int, Field(ge=1)] = _BATCH.max_concurrent_posts
    """Posts of all batches under way; more than the model servers take at once only waits."""


class InFlight(Section):
    """What may be held between fetch and acknowledgement. Past it, fetching pauses."""

    max_posts: Annotated[int, Field(ge=1)] = _IN_FLIGHT.max_posts
    """Posts held at most."""
    max_bytes: Annotated[int, Field(ge=1)] = _IN_FLIGHT.max_bytes
    """Bytes of records held at most."""


class Drain(Section):
    """How long started work may take to finish before it is let go."""

    revoke_s: Annotated[float, Field(ge=0, le=3600)] = _DRAIN.revoke_s
    """Seconds to finish when partitions move; every member of the group waits for it."""
    stop_s: Annotated[float, Field(ge=0, le=3600)] = _DRAIN.stop_s
    """Seconds to finish after SIGTERM; below what the platform waits before SIGKILL."""


class Delivery(Section):
    """How often a post's event may come: at least once, or exactly once by Kafka transactions."""

    guarantee: Guarantee = "at-least-once"
    """At-least-once repeats after a crash; exactly-once doesn't, at a price (docs/delivery.md)."""
    transactional_id_prefix: str = ""
    """Begins the transactional ids, which access rights name; empty takes `input.group_id`."""
    transaction_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = TRANSACTION_TIMEOUT_S
    """Seconds until the brokers abort what a crashed member left open; readers wait so long."""

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.transactional_id_prefix and self.guarantee != "exactly-once":
            raise ValueError(
                "transactional_id_prefix is set, and there are no transactions: set guarantee ="
                ' "exactly-once", or leave it out'
            )
        return self


class Fuse(Section):
    """Stops the consumer when nearly no record can be decoded: a bad deploy, not bad posts."""

    removed: ClassVar[Mapping[str, str]] = {
        "window": "the last 200 posts are looked at; fuse.share = 1.1 switches the fuse off",
    }

    share: Annotated[float, Field(gt=0, le=2)] = _FUSE.share
    """Share of the last 200 posts, undecodable ones, that stops the consumer; above 1 never."""
