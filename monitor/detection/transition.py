"""What a detector says."""

from typing import NamedTuple

from schemas.alert import AlertState, Evidence, Measure


class Transition(NamedTuple):
    """What a detector says; `monitor.detection.alerts` makes a `schemas.Alert` of it."""

    kind: str
    """`spike`, `level` or `instrument`."""
    state: AlertState
    measure: Measure
    observed: float
    expected: float
    evidence: tuple[Evidence, ...]
    started_at: int
    """Unix seconds."""
    pending_at: int
    fired_at: float | None
    at: float
    """Watermark, Unix seconds."""
    posts: int
    negative: float
    note: str | None
