"""The notifier's log events: an interface, one line of meaning each."""

from typing import Final

from runtime.telemetry.log_events import LogEvents

EVENTS: Final = LogEvents()

DELIVERED = EVENTS.declare(
    "notification_delivered", "A target took a notification about `track`, with `transitions`."
)
RETRIED = EVENTS.declare(
    "notification_retried",
    "A target did not take a notification (`reason`); it is tried again after `delay_s`.",
)
UNDELIVERED = EVENTS.declare(
    "notification_undelivered",
    "A notification was given up (`reason`): this target told nobody of these `transitions`.",
)
EXAMPLES_MISSING = EVENTS.declare(
    "notification_without_examples", "Example posts could not be read; the message goes without."
)
ALERT_UNREADABLE = EVENTS.declare(
    "alert_unreadable", "A record of the alerts' topic is no alert that this version can read."
)
COMMIT_FAILED = EVENTS.declare(
    "notification_commit_failed", "What was told was not committed; the next round commits it."
)
