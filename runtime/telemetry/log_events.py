"""The log events' names of what all programs share: an interface, one line of meaning each."""

from typing import Final


class LogEvents:
    """A program's log events: name to meaning, in the order in which they were declared."""

    def __init__(self) -> None:
        self.meanings: dict[str, str] = {}

    def declare(self, name: str, meaning: str) -> str:
        """Add an event, once; give its name back.

        Raises:
            ValueError: the name is taken.
        """
        if name in self.meanings:
            raise ValueError(f"log event {name} is declared twice")
        self.meanings[name] = meaning
        return name

    def to_markdown(self) -> str:
        """The table of these events for the documentation."""
        rows = [f"| `{name}` | {meaning} |" for name, meaning in self.meanings.items()]
        return "\n".join(["| event | meaning |", "|---|---|", *rows]) + "\n"


EVENTS: Final = LogEvents()

GROUP_LEAVE_FAILED = EVENTS.declare(
    "group_leave_failed",
    "The group was not told that this member leaves; it notices after the session timeout.",
)
PRODUCER_STOP_FAILED = EVENTS.declare("producer_stop_failed", "The producer did not stop in order.")
HEALTH_LISTENS = EVENTS.declare(
    "health_listens", "`/livez`, `/readyz` and `/metrics` are served at `url`."
)
KAFKA_UNREACHABLE = EVENTS.declare(
    "kafka_unreachable",
    "No broker answers `since` then: `reason` names the key to change. At once, then each minute;"
    " while the consumer starts each 10 s, for a minute in all.",
)
NO_COMMITTED_OFFSET = EVENTS.declare(
    "no_committed_offset",
    "The group has no offset of these `partitions`: a first start, partitions that were added, or"
    " offsets that were deleted or have expired. They are read from `begins_at`.",
)
KAFKA_REACHABLE = EVENTS.declare("kafka_reachable", "The brokers answer again.")
SPANS_DROPPED = EVENTS.declare(
    "spans_dropped",
    "So many spans of traces are lost since the last such line: the collector does not take them,"
    " takes them too slowly, or the program ended. Posts go on. At most once a minute.",
)
SPANS_EXPORTED_AGAIN = EVENTS.declare(
    "spans_exported_again", "The collector takes spans again; `dropped` are lost since the start."
)
REGISTRY_UNREACHABLE = EVENTS.declare(
    "registry_unreachable",
    "The schema registry gives no usable answer `since` then; what needs a schema that isn't known"
    " waits. At once, then each minute.",
)
REGISTRY_REACHABLE = EVENTS.declare("registry_reachable", "The schema registry answers again.")
SCHEMA_UNKNOWN = EVENTS.declare(
    "schema_unknown",
    "The schema registry has no schema of this id: its records can't be read. Asked again after a"
    " minute.",
)
SCHEMA_DIFFERS = EVENTS.declare(
    "schema_differs",
    "The latest schema of a subject isn't this version's: `emostream schemas check` says how far"
    " they fit.",
)
