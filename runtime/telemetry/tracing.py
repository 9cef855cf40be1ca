"""The seam between what is recorded of a program's work and who records it.

Nothing in here is OpenTelemetry's: `runtime.telemetry.otlp` is, and it is imported only where
tracing is configured.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from runtime.telemetry.trace_context import TraceContext

Value: TypeAlias = str | int | bool | Sequence[str]
Attributes: TypeAlias = Mapping[str, Value]
"""What is known of a span, by OpenTelemetry's names. Never a text, prompt, answer or handle."""
Kind: TypeAlias = Literal["client", "consumer", "producer"]
SampledFor: TypeAlias = Literal["ratio", "links"]


class Span(Protocol):
    """Something that takes time, from when it was begun until `end`."""

    @property
    def context(self) -> TraceContext:
        """What others link to."""

    @property
    def sampled_for(self) -> SampledFor | None:
        """Why it is recorded; None where it isn't: then its children aren't, either."""

    def child(self, name: str, kind: Kind, attributes: Attributes) -> "Span":
        """Begin a part of it."""

    def end(self, attributes: Attributes, *, error: str | None = None) -> None:
        """End it, once; `error` is what failed, by its class."""


class Tracer(Protocol):
    """Begins traces. Called on the event loop: quick, never waits, never raises."""

    def begin(
        self, name: str, kind: Kind, attributes: Attributes, links: Sequence[TraceContext]
    ) -> Span:
        """Begin a trace of its own that is linked to others'.

        It is recorded where the configured share of traces falls on it, or where one of the links
        is sampled and those are to be followed: then to these alone. Most traces aren't, and cost
        a few microseconds.
        """
