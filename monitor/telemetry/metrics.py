"""The monitor's metrics: an interface. One line of meaning each; docs/operations.md has them."""

from runtime.telemetry.metric import Declared, to_markdown

__all__ = ["ALL", "table"]

ACTIVE = Declared(
    "emostream_monitor_active", "gauge", "1 while this one is the active monitor, 0 standing by."
)
LAG = Declared(
    "emostream_monitor_lag_events",
    "gauge",
    "Offsets between what is read and the end of the partition's log.",
    ("partition",),
)
WATERMARK_AGE = Declared(
    "emostream_monitor_watermark_age_seconds",
    "gauge",
    "Wall clock minus the event time up to which windows are closed.",
)
EVENTS = Declared(
    "emostream_monitor_events_total",
    "counter",
    "Events by what became of them: `counted`, `duplicate`, `late`, `future`, `seen` (read again"
    " after a restart), `unreadable`, `tombstone`.",
    ("fate",),
)
WINDOWS = Declared(
    "emostream_monitor_windows_total", "counter", "Windows that the broker has acknowledged."
)
ALERTS = Declared(
    "emostream_monitor_alerts_total",
    "counter",
    "Transitions of alerts that the broker has acknowledged.",
    ("transition",),
)
LOST = Declared(
    "emostream_monitor_expired_events_total",
    "counter",
    "Events that retention deleted before they were read.",
)
TERMS = Declared(
    "emostream_monitor_terms_total", "counter", "Times this one became the active monitor."
)
FENCED = Declared(
    "emostream_monitor_fenced_total", "counter", "Times another monitor took over while this ran."
)
NEGATIVE = Declared(
    "emostream_track_negative_share",
    "gauge",
    "Mean probability that a post of the track is negative, over the last 10 minutes of event time:"
    " the share negative that alerts name.",
    ("track",),
)
EXPECTED = Declared(
    "emostream_track_expected_negative_share",
    "gauge",
    "What the detector expected of that; absent until it is warm.",
    ("track",),
)
VALENCE = Declared(
    "emostream_track_valence",
    "gauge",
    "Mean valence of the track's posts of the last 10 minutes, 0 to 1.",
    ("track",),
)
POSTS = Declared(
    "emostream_track_posts", "gauge", "The track's posts of the last 10 minutes.", ("track",)
)
ALERT_STATE = Declared(
    "emostream_track_alert_state",
    "gauge",
    "0 calm or warming, 1 pending, 2 firing, 3 stale.",
    ("track",),
)
MUTED = Declared(
    "emostream_track_muted", "gauge", "1 while nobody is notified of the track.", ("track",)
)
NOTIFICATIONS = Declared(
    "emostream_notifications_total",
    "counter",
    "Notifications by receiver: `delivered`, `retried` (not taken this time), `undelivered`.",
    ("receiver", "outcome"),
)
TRACKS = Declared("emostream_monitor_tracks", "gauge", "Tracks that are watched.")
REFUSED = Declared(
    "emostream_monitor_refused_names_total",
    "counter",
    "Posts counted in `other` as their tag is no track: too few posts yet, too long, unprintable,"
    " or too many tags.",
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Declared))
"""Every metric, in the order above."""


def table() -> str:
    """The reference table of docs/operations.md."""
    return to_markdown(ALL)
