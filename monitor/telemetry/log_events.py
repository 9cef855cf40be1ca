"""The monitor's log events: an interface, one line of meaning each."""

from typing import Final

from runtime.telemetry.log_events import LogEvents

EVENTS: Final = LogEvents()
_event = EVENTS.declare

NOT_STARTED = _event("monitor_not_started", "It can't start or go on; `reason` says what to do.")
JOINING = _event(
    "joining_group",
    "Asks its group who is active; after a crash of that one this takes its session timeout.",
)
STANDING_BY = _event("standing_by", "Another monitor of the group is active; this one waits.")
TAKING_OVER = _event("taking_over", "This monitor became the active one of its group.")
ACTIVE = _event(
    "active", "State is read back: `tracks`, `windows` and open alerts; events from `offsets` on."
)
FENCED = _event("fenced", "Another monitor took over; what this one had not written is dropped.")
TERM_ENDED = _event("term_ended", "Kafka gave an error; the topics are read again, `attempt`.")
PROGRESS = _event(
    "monitor_progress",
    "How it goes, once a minute: events and windows since the last, `lag`, `late`, open alerts.",
)
STOPPING = _event("monitor_stopping", "Told to stop: what is closed is written first.")
STOP_CUT_SHORT = _event(
    "stop_cut_short",
    "The brokers did not take the last transaction in `after_s`: nothing of it is written, and the"
    " next start reads those events again.",
)
STOPPED = _event("monitor_stopped", "The end, as it was asked for.")

OFFSETS_GONE = _event(
    "committed_offsets_gone",
    "Events between the committed offset and the oldest kept were deleted by retention: lost.",
)
OFFSETS_AHEAD = _event(
    "committed_offsets_ahead", "The events' topic ends before the committed offset: made again."
)
PARTITIONS_GROWN = _event(
    "events_partitions_grown", "The events' topic has more partitions; it is read again with them."
)
BASELINES_REFUSED = _event(
    "baselines_refused", "Baselines of another version or damaged: learnt again from windows."
)
TRACKS_WARMED = _event("tracks_warmed", "New tracks were warmed from the events kept.")
TRACKS_RELEASED = _event(
    "tracks_released", "Tracks by tag, source or language without posts for days: forgotten."
)
TRACKS_DROPPED = _event(
    "tracks_dropped",
    "`monitor.by` or `monitor.tracks` changed: tracks made before, or by other conditions, are"
    " forgotten.",
)
REMEMBERED = _event("posts_remembered", "Posts of closed windows were read again, for reposts.")
CAUGHT_UP = _event("caught_up", "All events are read; windows close as time passes.")
WINDOWS_WRITTEN = _event("windows_written", "Closed windows and their offsets are acknowledged.")
ALERT_WRITTEN = _event("alert_written", "An alert's transition is acknowledged.")
RECORD_UNREADABLE = _event(
    "record_unreadable", "A record of our own topics can't be read: skipped."
)
VALUES_FRAMED = _event(
    "values_framed",
    "Events are framed by a schema registry and can't be read: is it named in `registry.urls`, and"
    " does it know their schema? Once a term; the metric of unreadable events counts them.",
)
ACTION_READ = _event("action_read", "Someone acted on an alert, or muted a track.")
PAGE_UNAVAILABLE = _event("page_unavailable", "The page can't be served; `reason` says why.")
NO_TEXT = _event(
    "no_text",
    "By `setting` events carry no text: alerts have no terms and no example posts, and tracks of"
    " keywords can't be used.",
)
NO_AUTHORS = _event(
    "no_authors",
    "Events carry no author: only identical texts are capped, and one writer can look like many.",
)
TEXTS_MISSING = _event(
    "texts_missing",
    "Events carry no text though `output.include_text` is on here: it is off at the consumer."
    " Alerts have no terms and no example posts, and tracks of keywords find nothing.",
)
