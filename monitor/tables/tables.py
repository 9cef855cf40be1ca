"""The tables that can be written, column by column: an interface, documented from here.

Columns are only ever added, at the end, and none changes its type: files of different versions are
read together.
"""

from collections.abc import Sequence
from typing import Any, Final

from monitor.tables.columns import Column, Table, Type
from schemas import EMOTIONS, INTENSITY_EMOTIONS

PLACE: Final[tuple[tuple[str, Type, str], ...]] = (
    ("more", "json", "fields that have no column: of a later version, or of an unforeseen type"),
    ("kafka_partition", "integer", "of the record"),
    ("kafka_offset", "integer", "of the record; the largest of equal ids is the newest"),
    ("written_at", "time", "the record's own time: when it was written to the topic"),
)
"""What every table ends with."""
FOLDER_COLUMN: Final = "day"
"""What readers of hive-style folders add: `day=2026-01-31`."""


def _column(name: str, type_: Type, meaning: str, path: str = "", *, default: Any = None) -> Column:
    return Column(name, type_, meaning, tuple((path or name).split(".")), default)


def _required(name: str, type_: Type, meaning: str, path: str = "") -> Column:
    return Column(name, type_, meaning, tuple((path or name).split(".")), required=True)


def _each(
    prefix: str, names: Sequence[str], type_: Type, meaning: str, path: str
) -> tuple[Column, ...]:
    return tuple(
        _column(f"{prefix}_{name}", type_, meaning.format(name), f"{path}.{name}") for name in names
    )


EVENTS: Final = Table(
    "events",
    (
        _required("version", "integer", "of the event's schema"),
        _required("id", "text", "the event's; a redelivered post has the same"),
        _required("post_id", "text", "the post's at its source, or its pseudonym"),
        _column("source", "text", "where the post comes from"),
        _column("author", "text", "pseudonym"),
        _required("created_at", "time", "when the post was written; its day is the folder"),
        _column("created_at_from", "text", "`record`: the post named no time, so Kafka's"),
        _column("lang", "text", "language"),
        _column("url", "text", "the post's"),
        _column("topics", "texts", "tags that the post came with", default=[]),
        _column("text", "text", "the post's; absent where the configuration drops it"),
        _column("text_truncated", "boolean", "the model saw a shortened text", default=False),
        _column("valence", "number", "0 (negative) to 1 (positive)", "sentiment.valence"),
        _column("valence_class", "integer", "-3 (very negative) to 3", "sentiment.class"),
        _column("emotions", "texts", "found; empty: none; null: not asked, or no answer"),
        *_each("intensity", INTENSITY_EMOTIONS, "number", "of {}, 0 to 1", "intensity"),
        *_each(
            "intensity_class", INTENSITY_EMOTIONS, "integer", "of {}, 0 to 3", "intensity_class"
        ),
        _column("custom", "json", "answers to questions of your own, by name"),
        _column("derived", "texts", "values computed from another answer", default=[]),
        _column("unanswered", "json", "task to the reason why it has no value"),
        _required("model", "text", "which model answered", "model.id"),
        _column("model_revision", "text", "", "model.revision"),
        _column("model_server", "text", "its URL", "model.server"),
        _column("opinion", "text", "whose reading: `both`, `first`, `second`; null: one model"),
        _required("processed_at", "time", "when it was read"),
        _column("cached", "boolean", "no prompt was sent for it", default=False),
        _column("prompts", "integer", "sent for it", default=0),
        _column("meta", "json", "what else the post came with"),
        _column(
            "models", "json", "`first` and `second`: id, revision, server, prompts; null: one model"
        ),
    ),
    time="created_at",
    marks={},
    meaning="one row for each record of the events' topic",
)

WINDOWS: Final = Table(
    "windows",
    (
        _required("version", "integer", "of the window's schema"),
        _required("track", "text", ""),
        _required("start", "time", "of the minute; its day is the folder"),
        _required("end", "time", "not included"),
        _required("posts", "integer", "distinct posts"),
        _column("late", "integer", "events that came too late", default=0),
        _column("scored", "integer", "posts that have a valence", default=0),
        _column("negative", "integer", "posts with a valence below 0.43", default=0),
        _column("negative_share", "number", "`negative / scored`"),
        _column("negative_soft", "number", "mean probability that a post is negative"),
        _column("valence_mean", "number", ""),
        *_each("valence", ("p10", "p50", "p90"), "number", "quantile {}", "valence_quantiles"),
        *_each("emotion", EMOTIONS, "number", "share of posts with {}", "emotions"),
        *_each("intensity", INTENSITY_EMOTIONS, "number", "mean of {}", "intensity"),
        _column("authors", "integer", "distinct"),
        _column("top_author_share", "number", ""),
        _column("repost_share", "number", "posts whose text the track had within 24 hours"),
        *_each(
            "expected_negative_soft",
            ("expected", "low", "high"),
            "number",
            "by the detector: {}",
            "expected.negative_soft",
        ),
        *_each(
            "expected_valence",
            ("expected", "low", "high"),
            "number",
            "by the detector: {}",
            "expected.valence",
        ),
        _column("models", "json", "model to its share of the posts"),
        _column("opinions", "json", "whose reading to its share of the posts"),
        _column("sources", "json", "source to its share"),
        _column("langs", "json", "language to its share"),
        _column("offsets", "json", "the events' offsets, by partition"),
        _column("panes", "json", "sums over ten seconds: what the detector steps through"),
    ),
    time="start",
    marks={},
    meaning="one row for each record of the windows' topic",
)

ALERTS: Final = Table(
    "alerts",
    (
        _required("version", "integer", "of the alert's schema"),
        _required("id", "text", "of the transition"),
        _required("alert_id", "text", "of the alert"),
        _required("track", "text", ""),
        _required("transition", "text", "`pending`, `firing`, `resolved`, `stale`"),
        _column("kind", "text", "`spike`, `level`, `instrument`", default="spike"),
        _required("measure", "text", "the strongest one"),
        _required("severity", "text", ""),
        _required("observed", "number", ""),
        _required("expected", "number", ""),
        _required("started_at", "time", "since when"),
        _column("fired_at", "time", ""),
        _column("resolved_at", "time", ""),
        _required("at", "time", "of the transition; its day is the folder"),
        _required("posts", "integer", "distinct, since `started_at`"),
        _column("negative_posts", "integer", "", default=0),
        _column("authors", "integer", "distinct, of the negative posts"),
        _column("same_hour_yesterday", "number", "share negative"),
        _column("same_hour_last_week", "number", "share negative"),
        _column("late", "integer", "events that came too late", default=0),
        _column("note", "text", ""),
        _column("examples", "texts", "ids of events", default=[]),
        _column("evidence", "json", "each measure: observed, expected, score"),
        _column("emotions", "json", "emotion to the change of its share"),
        _column("terms", "json", "words that set the posts apart"),
        _column("sources", "json", "source to its share"),
        _column("langs", "json", "language to its share"),
        _column("top_authors", "json", "pseudonym to its share"),
    ),
    time="at",
    marks={"transition": None},
    meaning="one row for each transition of an alert",
)

ACTIONS: Final = Table(
    "actions",
    (
        _required("version", "integer", "of the action's schema"),
        _required("id", "text", "of the action"),
        _required("alert_id", "text", "what it was done with"),
        _required("action", "text", "`ack`, `note`, `false`"),
        _required("by", "text", "who"),
        _required("at", "time", "wall clock; its day is the folder"),
        _column("note", "text", ""),
    ),
    time="at",
    marks={"action": None},
    meaning="one row for what a person did with an alert; on the alerts' topic, too",
)

TABLES: Final = {table.name: table for table in (EVENTS, WINDOWS, ALERTS, ACTIONS)}


def to_markdown() -> str:
    """Every table's columns, for docs/tables.md."""
    parts = []
    for table in TABLES.values():
        rows = [(one.name, one.type, one.meaning) for one in table.columns]
        parts += [
            f"### {table.name}",
            "",
            f"{table.meaning[0].upper()}{table.meaning[1:]}. "
            + ("Before the last four of all tables:" if table is not EVENTS else ""),
            "",
            "| column | type | meaning |",
            "|---|---|---|",
            *(f"| `{name}` | {type_} | {meaning} |" for name, type_, meaning in rows),
            *(f"| `{name}` | {type_} | {meaning} |" for name, type_, meaning in PLACE),
            "",
        ]
    return "\n".join(parts)
