"""How the service works: batches, memory, stopping, and what it tells the operator."""

from typing import Annotated, Literal

from pydantic import Field

from consumer.limits import BatchLimits, DrainBudget, FuseLimits, InFlightLimits
from consumer.settings._section import Section

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


class Http(Section):
    """Health and metrics: `/livez`, `/readyz`, `/metrics`."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` in a container."""
    port: Annotated[int, Field(ge=0, le=65535)] = 9090
    """Port to listen on; 0 takes a free one."""
    enabled: bool = True
    """Whether to listen at all."""
    stuck_after_s: Annotated[float, Field(gt=0)] = 120.0
    """Seconds without any progress, work being there, after which `/livez` says 503."""


class Log(Section):
    """What is written to standard error."""

    format: Literal["auto", "json", "console"] = "auto"
    """Lines of JSON, or for humans; auto: for humans on a terminal."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity written."""
