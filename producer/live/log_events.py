"""The live sources' log events: an interface, one line of meaning each."""

from typing import Final

from runtime.telemetry.log_events import LogEvents

EVENTS: Final = LogEvents()
_event = EVENTS.declare

STARTED = _event("live_started", "Posts of `sources` are written to `topic` from now on.")
RESUMED = _event(
    "live_resumed",
    "`source` goes on where Kafka had acknowledged everything, `behind_s` seconds ago; `remembered`"
    " posts were read back.",
)
CONNECTED = _event("source_connected", "A connection to `host` is open.")
DISCONNECTED = _event(
    "source_disconnected", "The connection is gone, for `reason`; it is made again after a pause."
)
UNREACHABLE = _event(
    "source_unreachable", "`source` gives nothing `since` then; tried again. Each minute."
)
WAITS = _event(
    "source_waits",
    "`source` is next asked at `until`, in `seconds`: for `reason`, as the server wished or after"
    " failures in a row. Pauses below ten seconds are not told.",
)
GAP = _event(
    "source_gap", "`source` can't give `seconds` of its past (`why`): those posts are lost."
)
SOURCE_FAILED = _event(
    "source_failed",
    "`source` has given nothing since the start, for `reason`; the others go on, and it is tried"
    " again in `again_s` seconds.",
)
SOURCE_ENDED = _event(
    "source_ended", "`source` is given up, for `reason`; the others go on without it."
)
DELIVERY_FAILED = _event(
    "live_delivery_failed",
    "Kafka did not take a record: all begins again at what it acknowledged, after a pause.",
)
PROGRESS = _event(
    "live_progress",
    "How it goes, once a minute: written since the start, `posts_per_s`, `lag_s`, skipped.",
)
STOPPING = _event("live_stopping", "Told to stop: what is in flight is waited for.")
STOPPED = _event("live_stopped", "The end, as it was asked for.")
FAILED = _event("live_failed", "It can't start or go on; `reason` says what to do.")
