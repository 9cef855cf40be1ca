"""The metrics' names: an interface. One line of meaning each; docs/operations.md is made of them.

Names follow Prometheus: base units, `_total` for counters. What is a gauge of the service's state
is taken from its snapshot when it is scraped, and costs nothing in between.
"""

from typing import Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]


class Metric(msgspec.Struct, frozen=True):
    """One metric."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds, of a histogram."""


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_AGES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

# ---- the stream

LAG = Metric(
    "emostream_lag_posts",
    "gauge",
    "Records between what is settled and the end of the partition's log.",
    ("topic", "partition"),
)
CONSUMED = Metric(
    "emostream_posts_consumed_total",
    "counter",
    "Records received, those that are skipped among them.",
)
EVENTS = Metric("emostream_events_total", "counter", "Events acknowledged by the broker.")
DEAD_LETTERS = Metric(
    "emostream_dead_letters_total",
    "counter",
    "Dead letters acknowledged by the broker, by where and why the record failed.",
    ("stage", "class"),
)
SKIPPED = Metric(
    "emostream_skipped_records_total",
    "counter",
    "Records that are no posts, settled without an event, by the rule that says so.",
    ("rule",),
)
UNREADABLE_TIMES = Metric(
    "emostream_unreadable_times_total",
    "counter",
    "Posts whose `created_at` is in no known form: their record's time is used.",
)
EVENT_LATENCY = Metric(
    "emostream_event_latency_seconds",
    "histogram",
    "From receiving a record to its event's acknowledgement: the time in this service.",
    buckets=_SECONDS,
)
EVENT_AGE = Metric(
    "emostream_event_age_seconds",
    "histogram",
    "From a record's timestamp to its event's acknowledgement: how old the news is.",
    buckets=_AGES,
)

REGISTRY_REQUESTS = Metric(
    "emostream_registry_requests_total",
    "counter",
    "Questions to the schema registry: `answered`, `not_found`, `refused` or `unavailable`. A few"
    " at the start and one for each new schema: a known one is never asked for again.",
    ("outcome",),
)
REGISTRY_WAITING = Metric(
    "emostream_registry_waiting_posts",
    "gauge",
    "Records that wait for a schema of the registry; growing means that it doesn't answer.",
)

# ---- in flight

IN_FLIGHT_POSTS = Metric("emostream_in_flight_posts", "gauge", "Records received, not finished.")
IN_FLIGHT_BYTES = Metric("emostream_in_flight_bytes", "gauge", "Bytes of these records.")
IN_FLIGHT_BATCHES = Metric("emostream_in_flight_batches", "gauge", "Batches under way.")
OLDEST_IN_FLIGHT = Metric(
    "emostream_oldest_in_flight_seconds",
    "gauge",
    "Age of the oldest record received and not finished; growing without end means stuck.",
)
PAUSED = Metric(
    "emostream_paused",
    "gauge",
    "1 while a partition isn't fetched: `records` or `bytes` in flight, no model server"
    " (`unavailable`), too many offsets past an unfinished one (`window`), a batch that can't be"
    " read (`bad_batch`).",
    ("reason",),
)
PAUSES = Metric("emostream_pauses_total", "counter", "Times fetching paused.", ("reason",))
BATCHES = Metric(
    "emostream_batches_total",
    "counter",
    "Batches by what closed them; mostly `wait` under load means they do not fill.",
    ("closed_by",),
)
BATCH_POSTS = Metric(
    "emostream_batch_posts", "histogram", "Records of a batch.", buckets=tuple(map(float, _SIZES))
)
BATCH_SECONDS = Metric(
    "emostream_batch_seconds",
    "histogram",
    "From a batch's close to the acknowledgement of all that came of it.",
    buckets=_SECONDS,
)

# ---- the model

REQUESTS = Metric(
    "emostream_model_requests_total",
    "counter",
    "Requests to model servers: `answered`, or the error's class.",
    ("server", "task", "outcome"),
)
REQUEST_SECONDS = Metric(
    "emostream_model_request_seconds",
    "histogram",
    "Time of a request to a model server that was answered.",
    ("server",),
    _SECONDS,
)
LIMIT = Metric(
    "emostream_model_concurrency_limit",
    "gauge",
    "Prompts in flight to the server at most, as adapted to its refusals.",
    ("server",),
)
BREAKER = Metric(
    "emostream_model_breaker_state",
    "gauge",
    "The server's breaker: 0 closed (takes prompts), 1 half open (is probed), 2 open.",
    ("server",),
)
AVAILABLE = Metric(
    "emostream_model_available", "gauge", "1 while at least one model server takes prompts."
)
ANALYSED = Metric("emostream_analysed_posts_total", "counter", "Posts that the model was due for.")
PROMPTS = Metric(
    "emostream_prompts_total",
    "counter",
    "Prompts sent for them, repeats in another wording included; their ratio is prompts per post.",
)
ANSWERS = Metric(
    "emostream_answers_total",
    "counter",
    "Answers by origin: `cache`, `shared` (being asked for another post), or `model`.",
    ("origin",),
)
CACHE_ENTRIES = Metric("emostream_cache_entries", "gauge", "Answers in the cache.")
CACHE_BYTES = Metric("emostream_cache_bytes", "gauge", "Estimated bytes of the cache.")
UNREADABLE = Metric(
    "emostream_unreadable_answers_total",
    "counter",
    "Answers that could not be read: `recovered` by another wording, or `given_up`.",
    ("task", "outcome"),
)

# ---- a second model

OPINIONS = Metric(
    "emostream_opinions_total",
    "counter",
    "Events by whose reading they are: of `both` models, the `first` or the `second` alone.",
    ("opinion",),
)
MODEL_PROMPTS = Metric(
    "emostream_model_prompts_total",
    "counter",
    "Prompts sent for the posts of these events, by model: `first` or `second`.",
    ("upstream",),
)
SECOND_MISSING = Metric(
    "emostream_second_missing_total",
    "counter",
    "Answers that the second model did not give, so that the first's count alone: `late`, `busy`"
    " (it has more posts than it answers in time), `unavailable` or `unreadable`.",
    ("reason",),
)
SHED = Metric(
    "emostream_shed_posts_total",
    "counter",
    "Posts given to the second model alone since the first fell behind.",
)
SHED_SHARE = Metric("emostream_shed_share", "gauge", "Share of the posts that are shed so now.")
CORRELATION = Metric(
    "emostream_models_correlation",
    "gauge",
    "Correlation of the two models' valences over the last 400 posts that both read; absent before"
    " 200. Below .77 the second doesn't know this kind of text; 0 where one gives all the same.",
    ("task",),
)
UPSTREAM = Metric(
    "emostream_model_upstream_info",
    "gauge",
    "Always 1: which model a server belongs to, `first` or `second`.",
    ("server", "upstream"),
)
SECOND_AVAILABLE = Metric(
    "emostream_second_available",
    "gauge",
    "1 while a server of the second model takes prompts; absent without a second model.",
    ("upstream",),
)

# ---- the group

PARTITIONS = Metric("emostream_partitions", "gauge", "Partitions that this member reads.")
PARTITIONS_NOT_BEGUN = Metric(
    "emostream_partitions_not_begun",
    "gauge",
    "Partitions assigned to this member that aren't read yet, whose lag nobody measures: with"
    " exactly-once their transactions can't begin.",
)
REBALANCES = Metric("emostream_rebalances_total", "counter", "Assignments by the group.")
REVOKE_SECONDS = Metric(
    "emostream_revoke_seconds",
    "histogram",
    "Time to drain and let go of partitions; the whole group waits for it.",
    buckets=_SECONDS,
)
ABANDONED = Metric(
    "emostream_abandoned_posts_total",
    "counter",
    "Records let go unfinished with their partitions; their new owner does them again.",
)
LATE = Metric(
    "emostream_late_finishes_total",
    "counter",
    "Records finished after their partition was lost: committed by nobody here, and published with"
    " at-least-once only.",
)
COMMITS = Metric("emostream_commits_total", "counter", "Commits that succeeded.")
COMMITTED = Metric("emostream_committed_posts_total", "counter", "Records settled by commits.")
COMMIT_FAILURES = Metric(
    "emostream_commit_failures_total",
    "counter",
    "Commits given up: `fenced` (the partitions moved, harmless) or `error`.",
    ("kind",),
)
TRANSACTIONS = Metric(
    "emostream_transactions_total",
    "counter",
    "Kafka transactions of exactly-once by outcome: `committed`, `aborted` (its records are tried "
    "again) or `fenced` (another member writes for the partition by now).",
    ("outcome",),
)
TRANSACTION_SECONDS = Metric(
    "emostream_transaction_seconds",
    "histogram",
    "From a transaction's begin to its commit.",
    buckets=_SECONDS,
)
RESTARTS = Metric(
    "emostream_consumer_restarts_total",
    "counter",
    "Times the watchdog replaced the Kafka consumer, since it delivered nothing.",
)
BAD_BATCHES = Metric(
    "emostream_bad_batches_total",
    "counter",
    "Times a partition stopped at a batch that can't be read: `emostream offsets skip` passes it.",
)
TAKEN_AWAY = Metric(
    "emostream_taken_away_posts_total",
    "counter",
    "Offsets that the topic's retention removed before they were read: these posts are lost.",
)
CREATED_AGAIN = Metric(
    "emostream_topics_created_again_total",
    "counter",
    "Times an input topic was found deleted and created again, and read from its start.",
)
FUSE = Metric(
    "emostream_fuse_blown",
    "gauge",
    "1 when nearly everything was poison; it stops then, mostly before a scrape sees it.",
)
TASKS = Metric(
    "emostream_asyncio_tasks",
    "gauge",
    "asyncio tasks alive in this process; growing without end means a leak.",
)
SPANS = Metric(
    "emostream_spans_exported_total", "counter", "Spans of traces that the collector took."
)
SPANS_DROPPED = Metric(
    "emostream_spans_dropped_total",
    "counter",
    "Spans of traces that are lost: the queue was full (`queue_full`), the collector refused them"
    " or was away (`failed`), the program ended before it took them (`abandoned`).",
    ("reason",),
)
READY = Metric("emostream_ready", "gauge", "1 while `/readyz` says 200.")
BUILD_INFO = Metric(
    "emostream_build_info", "gauge", "Always 1: which version of emostream.", ("version",)
)
INFO = Metric("emostream_model_info", "gauge", "Always 1: which model.", ("model", "revision"))

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""Every metric, in the order above."""


def to_markdown() -> str:
    """The reference table of docs/operations.md."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{name}`' for name in metric.labels)}"
        f" | {metric.meaning} |"
        for metric in ALL
    ]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows]) + "\n"
