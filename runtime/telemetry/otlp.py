"""Traces by OpenTelemetry, to a collector by OTLP over HTTP. Imported only where that is set up.

What the standard's own variables say is respected where it adds to the configuration:
`OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_[TRACES_]` `HEADERS`,
`CERTIFICATE`, `CLIENT_CERTIFICATE`, `CLIENT_KEY`, `COMPRESSION` and `TIMEOUT`,
`OTEL_SDK_DISABLED`. Where spans go and which are sampled, the configuration alone says.
"""

import uuid
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from opentelemetry.trace import Span as ApiSpan
from opentelemetry.trace import Tracer as ApiTracer
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.util.types import Attributes as OtelAttributes
from typing_extensions import override

from runtime.telemetry.trace_context import TraceContext
from runtime.telemetry.tracing import Attributes, Kind, SampledFor, Span

MAX_LINKS: Final = 128
"""Of one span: OpenTelemetry's own default. A full batch has 64 posts; sampled ones go first."""

_KINDS: Final = {
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
    "producer": SpanKind.PRODUCER,
}


class OtlpTracer:
    """A `runtime.telemetry.tracing.Tracer`. Makes no global of OpenTelemetry its own."""

    def __init__(
        self,
        processor: SpanProcessor,
        *,
        service: str,
        version: str,
        sample_ratio: float,
        follow_links: bool,
        instance: str = "",
    ) -> None:
        """`processor` gets what was recorded; `instance` is random where it is not given."""
        self._ratio = TraceIdRatioBased(sample_ratio)
        self._follow = follow_links
        self._ids = _ChosenIds()
        self._provider = TracerProvider(
            sampler=ParentBased(_LinkedOrRatio(self._ratio) if follow_links else self._ratio),
            resource=_resource(service, version, instance or str(uuid.uuid4())),
            id_generator=self._ids,
            span_limits=SpanLimits(max_links=MAX_LINKS),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("emostream", version)

    def begin(
        self, name: str, kind: Kind, attributes: Attributes, links: Sequence[TraceContext]
    ) -> Span:
        """Begin a trace of its own. See `runtime.telemetry.tracing.Tracer`."""
        trace_id = self._ids.trace_id = self._ids.generate_another()
        by_ratio = trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._ratio.bound
        followed = self._follow and any(one.sampled for one in links)
        if not (by_ratio or followed):
            # As the sampler would find, without the SDK: 2 microseconds instead of 20.
            return _Unrecorded(TraceContext(trace_id, self._ids.generate_span_id(), sampled=False))
        sampled = _links(one for one in links if one.sampled)
        span = self._tracer.start_span(
            name, Context(), kind=_KINDS[kind], attributes=_plain(attributes), links=sampled
        )
        if not by_ratio:
            return _OtlpSpan(self._tracer, span, "links")
        # What its producer doesn't record can be found in the producer's log all the same.
        for link in _links(one for one in links if not one.sampled)[: MAX_LINKS - len(sampled)]:
            span.add_link(link.context)
        return _OtlpSpan(self._tracer, span, "ratio")


class _ChosenIds(RandomIdGenerator):
    """Random ids; a trace's is drawn before its span is made, since it says whether it is made."""

    def __init__(self) -> None:
        self.trace_id = 0

    def generate_another(self) -> int:
        """Draw an id."""
        return super().generate_trace_id()

    @override
    def generate_trace_id(self) -> int:
        """Give the one that was drawn."""
        return self.trace_id


class _Unrecorded:
    """A span that nobody records, nor any part of it."""

    __slots__ = ("context",)

    sampled_for: SampledFor | None = None

    def __init__(self, context: TraceContext) -> None:
        self.context = context

    def child(self, name: str, kind: Kind, attributes: Attributes) -> Span:  # noqa: ARG002
        """Nothing of it is recorded."""
        return self

    def end(self, attributes: Attributes, *, error: str | None = None) -> None:
        """Forget it."""


class _OtlpSpan:
    """A span that is recorded."""

    __slots__ = ("_span", "_tracer", "_why", "context", "sampled_for")

    def __init__(self, tracer: ApiTracer, span: ApiSpan, sampled_for: SampledFor) -> None:
        self._tracer = tracer
        self._span = span
        own = span.get_span_context()
        self.context = TraceContext(own.trace_id, own.span_id, sampled=True)
        self.sampled_for: SampledFor | None = sampled_for
        self._why = sampled_for

    def child(self, name: str, kind: Kind, attributes: Attributes) -> Span:
        """Begin a part of it."""
        span = self._tracer.start_span(
            name,
            set_span_in_context(self._span, Context()),
            kind=_KINDS[kind],
            attributes=_plain(attributes),
        )
        return _OtlpSpan(self._tracer, span, self._why)

    def end(self, attributes: Attributes, *, error: str | None = None) -> None:
        """End it, with what is known by now."""
        for key, value in attributes.items():
            self._span.set_attribute(key, value)
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class _LinkedOrRatio(Sampler):
    """Samples what is linked to something sampled, and a share of the rest."""

    def __init__(self, ratio: TraceIdRatioBased) -> None:
        self._ratio = ratio

    @override
    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: OtelAttributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide by the links, else by the trace's id."""
        if any(link.context.trace_flags.sampled for link in links or ()):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return self._ratio.should_sample(parent_context, trace_id, name, kind, attributes, links)

    @override
    def get_description(self) -> str:
        """Say what it is."""
        return f"LinkedOr{{{self._ratio.get_description()}}}"


def _links(contexts: Iterable[TraceContext]) -> list[Link]:
    """Each span once, and no more than are kept."""
    different = islice(dict.fromkeys(contexts), MAX_LINKS)
    return [
        Link(
            SpanContext(
                one.trace_id,
                one.span_id,
                is_remote=True,
                trace_flags=TraceFlags(TraceFlags.SAMPLED if one.sampled else TraceFlags.DEFAULT),
                trace_state=TraceState.from_header([one.state]) if one.state else None,
            )
        )
        for one in different
    ]


def _plain(attributes: Attributes) -> OtelAttributes:
    return dict(attributes)


def _resource(service: str, version: str, instance: str) -> Resource:
    ours = {"service.name": service, "service.version": version, "service.instance.id": instance}
    # The variables win: whoever sets them names this deployment's parts.
    return Resource.create(ours).merge(OTELResourceDetector().detect())
