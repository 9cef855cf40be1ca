"""The live sources' metrics: an interface, one line of meaning each."""

from producer.live.items import SKIPPED as SKIPPED_REASONS
from producer.live.source import DISCONNECTED as DISCONNECTED_REASONS
from runtime.telemetry.metric import Declared, to_markdown

__all__ = ["ALL", "table"]


def _reasons(meanings: dict[str, str]) -> str:
    return "; ".join(f"`{name}`: {meaning}" for name, meaning in meanings.items())


WRITTEN = Declared(
    "emostream_live_records_total",
    "counter",
    "Records that Kafka has acknowledged: `post`, `edit` (a new version of one sent before),"
    " `delete` (a tombstone).",
    ("source", "kind"),
)
SKIPPED = Declared(
    "emostream_live_skipped_total",
    "counter",
    f"What was passed over. {_reasons(SKIPPED_REASONS)}.",
    ("source", "reason"),
)
LAG = Declared(
    "emostream_live_lag_seconds",
    "gauge",
    "How old the newest item was by the source's clock when it came.",
    ("source",),
)
LAST = Declared(
    "emostream_live_last_item_timestamp_seconds",
    "gauge",
    "When the last item came, Unix seconds: `time() -` this is how long a source has been silent.",
    ("source",),
)
CONNECTED = Declared(
    "emostream_live_connected", "gauge", "1 while a source is connected.", ("source",)
)
DISCONNECTS = Declared(
    "emostream_live_disconnects_total",
    "counter",
    f"Connections that ended, or were not made. {_reasons(DISCONNECTED_REASONS)}.",
    ("source", "reason"),
)
GAPS = Declared(
    "emostream_live_gap_seconds_total",
    "counter",
    "Time that a source could not give any more: its posts are lost.",
    ("source",),
)
IN_FLIGHT = Declared(
    "emostream_live_in_flight", "gauge", "Records sent and not acknowledged by Kafka yet."
)
RESTARTS = Declared(
    "emostream_live_restarts_total",
    "counter",
    "Times that all began again at what Kafka had acknowledged.",
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Declared))
"""Every metric, in the order above."""


def table() -> str:
    """The reference table of docs/operations.md."""
    return to_markdown(ALL)
