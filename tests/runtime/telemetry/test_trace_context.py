"""W3C Trace Context is read strictly: whoever writes a record writes its headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.telemetry.trace_context import TraceContext, read_trace_context

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


def read(*parents: bytes | None, state: bytes | None = None) -> TraceContext | None:
    headers = [("other", b"x"), *(("traceparent", one) for one in parents)]
    return read_trace_context([*headers, ("tracestate", state)] if state else headers)


def test_a_context_is_read_and_written_as_it_came() -> None:
    found = read(GOOD, state=b"vendor=1,other=2")
    assert found == TraceContext(int(TRACE, 16), int(SPAN, 16), True, "vendor=1,other=2")  # noqa: FBT003
    assert found.traceparent == GOOD


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False)])
def test_the_sampled_flag_is_the_lowest_bit(flags: str, sampled: bool) -> None:
    found = read(f"00-{TRACE}-{SPAN}-{flags}".encode())
    assert found is not None
    assert found.sampled is sampled


def test_a_later_version_may_have_more_behind_what_is_known() -> None:
    assert read(f"01-{TRACE}-{SPAN}-01-more".encode()) is not None
    assert read(f"00-{TRACE}-{SPAN}-01-more".encode()) is None


@pytest.mark.parametrize(
    "parent",
    [
        *(None, b"", b"00-1", GOOD + b"\n", GOOD + b"0", b" " + GOOD, GOOD.upper()),
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE}-{SPAN}-1".encode(),
        f"01-{TRACE}-{SPAN}-01-{'x' * 1_000_000}".encode(),
        "00-\u0661\u0661".encode(),
        b"\xff" * 55,
    ],
)
def test_what_is_malformed_is_no_context(parent: bytes | None) -> None:
    assert read(parent) is None


def test_two_contexts_are_none() -> None:
    assert read(GOOD, GOOD) is None


@pytest.mark.parametrize("state", [b"x" * 513, b"a=\xff", b"a=1\r\nb=2", b"a=\x00"])
def test_a_tracestate_that_is_malformed_is_left_out(state: bytes) -> None:
    found = read(GOOD, state=state)
    assert found is not None
    assert not found.state


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["traceparent", "tracestate", "other"]),
            st.none() | st.binary(max_size=80) | st.just(GOOD),
        )
    )
)
def test_whatever_the_headers_hold_reading_them_raises_nothing(
    headers: list[tuple[str, bytes | None]],
) -> None:
    found = read_trace_context(headers)
    assert found is None or (found.trace_id, found.span_id) == (int(TRACE, 16), int(SPAN, 16))


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_written_is_read(trace_id: int, span_id: int, sampled: bool) -> None:
    context = TraceContext(trace_id, span_id, sampled)
    assert read_trace_context([("traceparent", context.traceparent)]) == context
