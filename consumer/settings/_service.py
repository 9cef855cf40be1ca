"""How the service works: batches, memory, stopping, and what it tells the operator."""

from typing import Annotated

from pydantic import Field

from consumer.options import BatchLimits, DrainBudget, FuseLimits, InFlightLimits
from runtime.settings.section import Section

_BATCH = BatchLimits()
_IN_FLIGHT = InFlightLimits()
_DRAIN = DrainBudget()
_FUSE = FuseLimits()


class Batch(Section):
    """When a micro-batch closes."""

    max_posts: Annotated[int, Field(ge=1, le=10_000)] = _BATCH.max_records
    """Posts of a full batch."""
    max_bytes: Annotated[int, Field(ge=1)] = _BATCH.max_bytes
    """Bytes of a full batch."""
    max_wait_s: Annotated[float, Field(ge=0, le=60)] = _BATCH.max_wait_s
    """Seconds after its first post at which a batch closes, full or not."""
    max_concurrent: Annotated[int, Field(ge=1, le=1_000)] = _BATCH.max_concurrent
    """Batches under way at once."""
    max_concurrent_posts: Annotated[int, Field(ge=1)] = _BATCH.max_concurrent_records
    """Posts of these batches together; more than the model servers take at once only waits."""


class InFlight(Section):
    """What may be held between fetch and acknowledgement. Past it, fetching pauses."""

    max_posts: Annotated[int, Field(ge=1)] = _IN_FLIGHT.max_records
    """Posts held at most."""
    max_bytes: Annotated[int, Field(ge=1)] = _IN_FLIGHT.max_bytes
    """Bytes of records held at most."""


class Drain(Section):
    """How long started work may take to finish before it is let go."""

    revoke_s: Annotated[float, Field(ge=0, le=3600)] = _DRAIN.revoke_s
    """Seconds to finish when partitions move; every member of the group waits for it."""
    stop_s: Annotated[float, Field(ge=0, le=3600)] = _DRAIN.stop_s
    """Seconds to finish after SIGTERM; below what the platform waits before SIGKILL."""


class Fuse(Section):
    """Stops the consumer when nearly everything is poison: a bad deploy, not bad posts."""

    window: Annotated[int, Field(ge=1)] = _FUSE.window
    """Posts looked at, the last ones."""
    share: Annotated[float, Field(gt=0, le=2)] = _FUSE.share
    """Share of dead letters among them that stops the consumer; above 1 never does."""
