"""An OpenTelemetry collector of the tests: OTLP over HTTP on a real socket, decoded."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.http_server import serving


class Collector:
    """`async with Collector() as collector`, then `collector.url`."""

    def __init__(self, *, status: int = 200, port: int = 0) -> None:
        self.status = status
        self.hangs = False
        self.answer = asyncio.Event()
        """Set to let hanging requests go."""
        self.location = ""
        """Where it redirects to, with a status of 307."""
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.requests = 0
        self._port = port
        self._changed = asyncio.Condition()
        self._stack = AsyncExitStack()
        self.url = ""

    async def __aenter__(self) -> Self:
        route = ("POST", "/v1/traces", self._traces)
        self.url = await self._stack.enter_async_context(serving(route, port=self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.answer.set()
        await self._stack.aclose()

    async def until(self, holds: Callable[[], bool], within_s: float = 20.0) -> None:
        """Wait until something holds that a request may have changed."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(holds)

    def named(self, start: str) -> list[Span]:
        """The spans whose name begins so."""
        return [span for span in self.spans if span.name.startswith(start)]

    async def _traces(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        async with self._changed:
            self.requests += 1
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self._changed.notify_all()
        if self.hangs:
            await self.answer.wait()
        if self.status != 200:
            headers = {"Location": self.location} if self.location else {}
            return web.Response(status=self.status, headers=headers)
        assert request.content_type == "application/x-protobuf"
        decoded = ExportTraceServiceRequest.FromString(body)
        async with self._changed:
            self.bodies.append(body)
            for group in decoded.resource_spans:
                self.resources.append(attributes(group.resource.attributes))
                for scope in group.scope_spans:
                    self.spans += scope.spans
            self._changed.notify_all()
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )


def attributes(pairs: Any) -> dict[str, Any]:
    """Plain values of attributes."""
    found: dict[str, Any] = {}
    for pair in pairs:
        assert isinstance(pair, KeyValue)
        assert pair.key not in found
        found[pair.key] = _plain(pair.value)
    return found


def traceparent(span: Span, *, sampled: bool = True) -> bytes:
    """The header that names this span."""
    return b"00-%s-%s-%02x" % (
        span.trace_id.hex().encode(),
        span.span_id.hex().encode(),
        sampled,
    )


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(one) for one in value.array_value.values]
    assert kind is not None
    return getattr(value, kind)
