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
        self._provider = TracerProvider(
            sampler=ParentBased(_LinkedOrRatio(self._ratio) if follow_links else self._ratio),
            resource=_resource(service, version, instance or str(uuid.uuid4())),
            span_limits=SpanLimits(max_links=MAX_LINKS),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("emostream", version)

    def begin(
        self, name: str, kind: Kind, attributes: Attributes, links: Sequence[TraceContext]
    ) -> Span:
        """Begin a trace of its own. See `runtime.telemetry.tracing.Tracer`."""
        sampled = _links(one for one in links if one.sampled)
        span = self._tracer.start_span(
            name, Context(), kind=_KINDS[kind], attributes=_plain(attributes), links=sampled
        )
        if not span.is_recording():
            return _OtlpSpan(self._tracer, span, None)
        by_ratio = self._ratio.should_sample(None, span.get_span_context().trace_id, name)
        if by_ratio.decision is not Decision.RECORD_AND_SAMPLE:
            return _OtlpSpan(self._tracer, span, "links")
        # What its producer doesn't record can be found in the producer's log all the same.
        for link in _links(one for one in links if not one.sampled)[: MAX_LINKS - len(sampled)]:
            span.add_link(link.context)
        return _OtlpSpan(self._tracer, span, "ratio")


class _OtlpSpan:
    """A span, recorded or not."""

    __slots__ = ("_span", "_tracer", "context", "sampled_for")

    def __init__(self, tracer: ApiTracer, span: ApiSpan, sampled_for: SampledFor | None) -> None:
        self._tracer = tracer
        self._span = span
        own = span.get_span_context()
        self.context = TraceContext(own.trace_id, own.span_id, sampled_for is not None)
        self.sampled_for = sampled_for

    def child(self, name: str, kind: Kind, attributes: Attributes) -> Span:
        """Begin a part of it; of one that isn't recorded, nothing is."""
        if self.sampled_for is None:
            return self
        span = self._tracer.start_span(
            name,
            set_span_in_context(self._span, Context()),
            kind=_KINDS[kind],
            attributes=_plain(attributes),
        )
        return _OtlpSpan(self._tracer, span, self.sampled_for)

    def end(self, attributes: Attributes, *, error: str | None = None) -> None:
        """End it. A part of one that isn't recorded is that one itself: nothing happens."""
        if self.sampled_for is None:
            return
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
