"""Tracing as it is configured: off by default, and then nothing of OpenTelemetry is imported."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from consumer.settings import Settings
from consumer.telemetry.meter import Meter, program_version
from consumer.tracing import Tracing
from runtime.errors import Misconfigured
from runtime.telemetry.collector import (
    read_headers,
    refuse_plain_headers,
    traces_url,
    variables_headers,
)

FLUSH_S = 0.8
"""For the last spans. With the drain's 20 s, the last commit and disconnecting, 29.8 s at most:
below Kubernetes' 30. Spans are exported each five seconds, so few are left by then."""
SERVICE = "emostream-consumer"
"""`service.name`, unless `OTEL_SERVICE_NAME` says otherwise."""
EXTRA = "tracing"


def is_on(settings: Settings, env: Mapping[str, str] = os.environ) -> bool:
    """Whether anything is to be recorded."""
    disabled = env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return bool(settings.tracing.endpoint) and not disabled


def collector_headers(settings: Settings, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Give the headers that the collector gets: the variables', with the settings' over them.

    Raises:
        Misconfigured: the variables' can't be read, or would go to another machine unencrypted.
    """
    options = settings.tracing
    given = variables_headers(env)
    try:
        if given:
            refuse_plain_headers(options.endpoint, allowed=options.allow_plain_headers)
        return read_headers(given) | read_headers(options.headers.get_secret_value())
    except ValueError as error:
        raise Misconfigured(f"OTEL_EXPORTER_OTLP_HEADERS: {error}") from None


@asynccontextmanager
async def tracing(settings: Settings, meter: Meter) -> AsyncIterator[Tracing | None]:
    """Record batches as long as this lasts, and export the last of them at its end; None is off.

    Raises:
        Misconfigured: a package is missing, or the collector can't be told who we are.
    """
    if not is_on(settings):
        yield None
        return
    try:
        from runtime.telemetry.otlp import OtlpTracer  # noqa: PLC0415 - it costs 0.3 s and 20 MB
        from runtime.telemetry.span_export import SpanExport, make_exporter  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"tracing.endpoint is set, but {error.name} is not installed: pip install"
            f" 'emostream[{EXTRA}]', or leave tracing.endpoint empty"
        ) from None
    from consumer.telemetry.tracing import BatchTracing  # noqa: PLC0415 - likewise

    options = settings.tracing
    exporter, collector = make_exporter(
        traces_url(options.endpoint), collector_headers(settings), options.ca_file or None
    )
    export = SpanExport(exporter, came=lambda: collector.came)
    meter.spans = lambda: {str(outcome): count for outcome, count in export.counts.items()}
    tracer = OtlpTracer(
        export,
        service=SERVICE,
        version=program_version(),
        instance=settings.input.group_instance_id,
        sample_ratio=options.sample_ratio,
        follow_links=options.follow_producers,
    )
    try:
        yield BatchTracing(
            tracer,
            group=settings.input.group_id,
            events_topic=settings.output.events_topic,
            dlq_topic=settings.output.dlq_topic,
        )
    finally:
        await export.aclose(FLUSH_S)
