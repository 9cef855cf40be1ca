"""W3C Trace Context in the headers of Kafka records: which span something belongs to.

Level 1 of the recommendation (https://www.w3.org/TR/trace-context/): `traceparent` is
`version-traceid-parentid-flags` in hexadecimal, `tracestate` a list that vendors fill. Whoever
writes a record chooses both, so nothing of them is believed that isn't exactly of that form.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

Headers: TypeAlias = Iterable[tuple[str, bytes | None]]

_TRACEPARENT: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?",
    re.DOTALL,
)
_MAX_PARENT_BYTES: Final = 256
"""Version 00 has 55; what a later version may add is short, too."""
_TRACESTATE: Final = re.compile(r"[\x20-\x7e\t]{1,512}")
"""Printable ASCII. 512 characters are what a vendor has to hand on; longer ones are left out."""
_SAMPLED: Final = 1


class TraceContext(NamedTuple):
    """One span of one trace, somewhere."""

    trace_id: int
    """128 bits, not 0."""
    span_id: int
    """64 bits, not 0."""
    sampled: bool
    """Whether who made it records it."""
    state: str = ""
    """Its `tracestate`, as it came; empty where there was none that could be believed."""

    @property
    def traceparent(self) -> bytes:
        """The `traceparent` of version 00."""
        return b"00-%032x-%016x-%02x" % (self.trace_id, self.span_id, self.sampled)


def read_trace_context(headers: Headers) -> TraceContext | None:
    """The trace context in a record's headers; None where there is none, or it is malformed.

    Two `traceparent` headers are malformed: nobody could tell which one counts. A `tracestate`
    that is malformed is left out. About a microsecond, and a tenth of it without such a header.
    """
    parent: bytes | None = None
    states: list[bytes] = []
    for name, value in headers:
        if name == "traceparent":
            if parent is not None:
                return None
            parent = value or b""
        elif name == "tracestate" and value is not None:
            states.append(value)
    if parent is None or len(parent) > _MAX_PARENT_BYTES:
        return None
    match = _TRACEPARENT.fullmatch(parent)
    if match is None or (match[1] == b"00" and match[5] is not None):
        return None
    return TraceContext(
        trace_id=int(match[2], 16),
        span_id=int(match[3], 16),
        sampled=bool(int(match[4], 16) & _SAMPLED),
        state=_state(states) if states else "",
    )


def _state(values: list[bytes]) -> str:
    """Several headers are one list, as HTTP has it."""
    text = b",".join(values).decode("latin-1")
    return text if _TRACESTATE.fullmatch(text) else ""
