"""The log events' names: an interface. One line of meaning each; a test holds that none is missing.

Model servers have theirs in `emollm.clients.events`, what all programs share in
`runtime.telemetry.log_events`.
"""

from typing import Final

from runtime.telemetry.log_events import LogEvents

EVENTS: Final = LogEvents()
_event = EVENTS.declare


# ---- start

MODEL_READY = _event(
    "model_ready", "A model server answered the canary; `model` is asked the `tasks`."
)
NOT_STARTED = _event("not_started", "It can't start; `reason` says what to do.")
WAITING_FOR_MODEL = _event(
    "waiting_for_model",
    "No model server takes prompts `since` then: posts wait in Kafka. At once, then each minute.",
)
STARTED = _event("started", "The group is joined; posts are read as partitions come.")
SECOND_READY = _event(
    "second_model_ready", "A server of the second model answered the canary; it is asked, too."
)

# ---- while it runs

SECOND_OUT = _event(
    "second_model_out",
    "No server of the second model can be used, for `reason`; posts go on. Tried each minute.",
)
SECOND_LATE = _event(
    "second_model_late",
    "The second model answers so late that most posts are read without it. At most once an hour.",
)
SECOND_DISAGREES = _event(
    "second_model_disagrees",
    "The models' valences correlate so little that the second doesn't know this kind of text, or"
    " one gives all posts the same: `advice` says which. At once, then each hour.",
)

PROGRESS = _event(
    "progress",
    "Each minute: posts a second, lag over all partitions, dead letters of this minute by class.",
)
FIRST_DEAD_LETTER = _event(
    "first_dead_letter", "The first dead letter of this `class`; `emostream dlq list` shows it."
)

# ---- the group

PARTITIONS_ASSIGNED = _event("partitions_assigned", "The group gave this member its partitions.")
PARTITIONS_REVOKED = _event(
    "partitions_revoked", "Partitions were drained and let go; `abandoned` posts are done again."
)
RECORDS_UNASSIGNED = _event(
    "records_unassigned", "Kafka's client delivered records of a partition not ours: dropped."
)
LOG_WENT_BACK = _event(
    "log_went_back",
    "A partition's log ends before what was read of it: its topic was created again, or the brokers"
    " lost its end. It is read from its start, and what is left of it comes again.",
)
LOG_WENT_BACK_ADVICE: Final = (
    "was a leader elected that had lost records (unclean.leader.election.enable), a disk restored, "
    "or an offset set past the end? what is left comes again under the ids that it had"
)
"""What an engineer looks for then."""
TOPIC_CREATED_AGAIN = _event(
    "topic_created_again", "An input topic was deleted and created again; read from its start."
)
PARTITION_STOPPED = _event(
    "partition_stopped", "A batch at `offset` can't be read; this partition waits, others go on."
)
PARTITION_GOES_ON = _event("partition_goes_on", "The batch that a partition stopped at was read.")
RECORDS_TAKEN_AWAY = _event(
    "records_taken_away", "Retention removed records before they were read: they are lost."
)
COMMIT_FENCED = _event(
    "commit_fenced", "The partitions moved before the commit: their new owner does the work."
)
COMMIT_RETRIED = _event("commit_retried", "A commit failed and is tried again.")
COMMIT_FAILED = _event(
    "commit_failed",
    "Commits are given up `since` then; the next carries their work. At once, then each minute.",
)
COMMITS_GO_ON = _event("commits_go_on", "A commit came about again.")

# ---- transactions, with exactly-once

TRANSACTION_ABORTED = _event(
    "transaction_aborted", "A transaction failed and was undone; its records are tried again."
)
TRANSACTION_FENCED = _event(
    "transaction_fenced",
    "Another member writes for this partition now, or the brokers ended its transaction: dropped.",
)
PARTITION_NOT_BEGUN = _event(
    "partition_not_begun", "A partition's producer does not start, so it isn't read; tried again."
)
PARTITION_BEGINS_AGAIN = _event(
    "partition_begins_again", "A partition is read again from its committed offset, for `reason`."
)

# ---- the way of a batch

FETCH_FAILED = _event(
    "fetch_failed", "The brokers give no records `since` then. At once, then each minute."
)
BATCH_FAILED = _event("batch_failed", "The analysis raised: a bug; its records are tried alone.")
ANALYSIS_DELAYED = _event("analysis_delayed", "A batch waits for model servers, to be tried again.")
SENDS_FAILED = _event("sends_failed", "Events or dead letters were not acknowledged; sent again.")
PRODUCER_RENEWED = _event("producer_renewed", "A producer that could not go on was replaced.")
PRODUCER_NOT_RENEWED = _event("producer_not_renewed", "The new producer does not start either.")
CONSUMER_STUCK = _event(
    "consumer_stuck", "Nothing is delivered although there is more; the consumer is replaced."
)

# ---- the end

STOPPING = _event("stopping", "Told to stop: what is started is finished within `budget_s`.")
ABANDONING = _event("abandoning", "Told twice: what is started is left to be done again.")
WORK_ABANDONED = _event("work_abandoned", "The budget ended before the work; it is done again.")
STOPPED = _event("stopped", "The end, as it was asked for.")
FAILED = _event("failed", "The end, by `error`; `reason` says what to do, `exit_code` how to tell.")
