"""Which traces are recorded, what they are linked to, and who says that they come from here."""

import itertools

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.telemetry.otlp import MAX_LINKS, OtlpTracer
from runtime.telemetry.trace_context import TraceContext

_numbers = itertools.count(1)


class Recorded:
    def __init__(self, *, ratio: float = 1.0, follow: bool = True, instance: str = "") -> None:
        self.memory = InMemorySpanExporter()
        self.tracer = OtlpTracer(
            SimpleSpanProcessor(self.memory),
            service="emostream-consumer",
            version="1.2",
            sample_ratio=ratio,
            follow_links=follow,
            instance=instance,
        )

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.memory.get_finished_spans()


def context(*, sampled: bool = False, state: str = "") -> TraceContext:
    return TraceContext(next(_numbers), next(_numbers), sampled, state)


def test_a_share_of_the_traces_is_recorded() -> None:
    recorded = Recorded(ratio=0.25)
    for _ in range(2_000):
        recorded.tracer.begin("process", "consumer", {}, ()).end({})
    # Six standard deviations of a binomial distribution around 500.
    assert 384 <= len(recorded.spans) <= 616


@pytest.mark.parametrize(("follow", "why"), [(True, "links"), (False, None)])
def test_a_sampled_link_is_followed_where_that_is_wanted(follow: bool, why: str | None) -> None:
    recorded = Recorded(ratio=0.0, follow=follow)
    span = recorded.tracer.begin("process", "consumer", {}, [context(), context(sampled=True)])
    span.end({})
    assert span.sampled_for == why
    assert span.context.sampled is (why is not None)
    assert [len(one.links) for one in recorded.spans] == [1] * (why is not None)
    other = recorded.tracer.begin("process", "consumer", {}, [context()])
    assert other.sampled_for is None


def test_a_trace_that_the_ratio_chose_is_whole_whatever_it_is_linked_to() -> None:
    recorded = Recorded(ratio=1.0)
    span = recorded.tracer.begin("process", "consumer", {}, [context(sampled=True)])
    assert span.sampled_for == "ratio"


def test_it_is_linked_to_each_producers_span_once_and_child_of_none() -> None:
    recorded = Recorded()
    first, second = context(sampled=True, state="vendor=1"), context()
    recorded.tracer.begin("process", "consumer", {}, [second, first, second, first]).end({})
    (span,) = recorded.spans
    assert span.parent is None
    linked = [
        (one.context.trace_id, one.context.span_id, one.context.trace_flags.sampled)
        for one in span.links
    ]
    assert linked == [(first.trace_id, first.span_id, True), (*second[:2], False)]
    assert span.links[0].context.trace_state.to_header() == "vendor=1"


def test_links_are_bounded_and_sampled_ones_go_first() -> None:
    recorded = Recorded()
    many = [context() for _ in range(3 * MAX_LINKS)] + [context(sampled=True) for _ in range(9)]
    recorded.tracer.begin("process", "consumer", {}, many).end({})
    (span,) = recorded.spans
    assert len(span.links) == MAX_LINKS
    assert span.dropped_links == 0
    assert all(one.context.trace_flags.sampled for one in span.links[:9])


def test_parts_belong_to_their_trace_and_a_failure_is_named() -> None:
    recorded = Recorded()
    whole = recorded.tracer.begin("process", "consumer", {"a": "b"}, ())
    part = whole.child("text_completion", "client", {"n": 1})
    part.end({"more": ("x",)}, error="TimedOut")
    whole.end({})
    child, parent = recorded.spans
    assert child.context is not None
    assert parent.context is not None
    assert child.parent is not None
    assert child.parent.span_id == parent.context.span_id == whole.context.span_id
    assert child.context.trace_id == parent.context.trace_id == whole.context.trace_id
    assert dict(child.attributes or {}) == {"n": 1, "more": ("x",), "error.type": "TimedOut"}
    assert not child.status.is_ok
    assert parent.status.is_unset


def test_of_a_trace_that_is_not_recorded_no_part_is() -> None:
    recorded = Recorded(ratio=0.0)
    whole = recorded.tracer.begin("process", "consumer", {}, ())
    whole.child("text_completion", "client", {}).end({})
    whole.end({})
    assert recorded.spans == ()
    assert not whole.context.sampled
    assert whole.context.trace_id
    assert whole.context.span_id


def test_the_resource_names_service_version_and_instance() -> None:
    recorded = Recorded(instance="pod-3")
    recorded.tracer.begin("process", "consumer", {}, ()).end({})
    (span,) = recorded.spans
    found = span.resource.attributes
    assert found["service.name"] == "emostream-consumer"
    assert found["service.version"] == "1.2"
    assert found["service.instance.id"] == "pod-3"


def test_opentelemetrys_variables_win_for_the_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "feelings")
    monkeypatch.setenv(
        "OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.version=9"
    )
    recorded = Recorded()
    recorded.tracer.begin("process", "consumer", {}, ()).end({})
    found = recorded.spans[0].resource.attributes
    assert found["service.name"] == "feelings"
    assert found["service.version"] == "9"
    assert found["deployment.environment.name"] == "test"
    assert found["service.instance.id"]


def test_two_programs_have_two_instances() -> None:
    names = set()
    for recorded in (Recorded(), Recorded()):
        recorded.tracer.begin("process", "consumer", {}, ()).end({})
        names.add(recorded.spans[0].resource.attributes["service.instance.id"])
    assert len(names) == 2
