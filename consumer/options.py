"""The service's own knobs, plain and validated elsewhere: the settings fill them.

Units are in the names: seconds (`_s`), bytes, records. Every default says why it is that number.
"""

import msgspec

LAST_COMMIT_S = 5.0
"""Kept for the commit at the end of a drain, within the rebalance timeout and the grace period."""


class BatchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a batch closes, and how many may be under way."""

    max_posts: int = 64
    """Enough to group prompts by task and length, few enough that one slow answer holds few."""
    max_bytes: int = 1_048_576
    """Key, value and headers. One record that is larger is a batch of its own."""
    max_wait_s: float = 0.002
    """Counted from the first record, while a batch may start; under load batches fill instead.
    Measured at 133 posts/s: the median post is 4 ms in the service with 2 ms,
    8 with 5; it may be 10."""
    max_concurrent_posts: int = 512
    """Records under way at once: no batch starts past it. What is started has to be finished or
    thrown away when partitions move. 512 posts are over 1,000 prompts at once: what eight TGIs take
    (128 each). A record holds its own place only, however long its batch takes."""


class InFlightLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What may be held between fetch and acknowledgement. Past it, partitions are paused."""

    max_posts: int = 4_096
    """Two full rounds of batches, so that none waits for a fetch."""
    max_bytes: int = 33_554_432
    """32 MiB: 4,096 posts of 8 KB. The memory they take as Python objects is about twice that."""
    max_window: int = 10_000
    """Records of one partition from its oldest unfinished one on, finished ones behind it included.
    Past it that partition isn't fetched. A crash repeats at most these (as Redpanda Connect's
    `checkpoint_limit`): 100 s of 100 posts/s, longer than a post takes to be given up."""
    resume_at: float = 0.7
    """Share of a bound under which fetching goes on. `pause()` drops what was prefetched, so
    it must not flap."""


class DrainBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How long started work may take to finish before its partitions are let go."""

    revoke_s: float = 20.0
    """Every member of the group waits for this: eager rebalancing stops them all."""
    stop_s: float = 20.0
    """With the last acknowledgements, the commit and disconnecting 29 s, below Kubernetes' 30 s
    from SIGTERM to SIGKILL."""


class CommitPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often finished work is committed, and how hard."""

    interval_s: float = 1.0
    """A crash repeats about this much work."""
    every_records: int = 5_000
    """Commits sooner when this many finished since the last commit."""
    timeout_s: float = 5.0
    """Of one attempt. Three of them fit the drain budget."""
    attempts: int = 3
    """Of one commit. What stays uncommitted goes with the next one."""


class PublishLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long an event may take to be acknowledged."""

    timeout_s: float = 120.0
    """aiokafka retries idempotent sends without end; this ends it: nothing is committed and the
    service stops with exit 1, to be restarted. Long enough for a broker's restart (12 s after
    kill -9) or a partition's new leader, the same as the Java client's delivery.timeout.ms."""


class FuseLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When nearly everything is poison, it is a bad deploy, not bad posts."""

    window: int = 200
    """Records looked at, the last ones. The fuse can't blow before it has seen this many."""
    share: float = 0.9
    """Dead letters among them that blow it. Above 1 it never blows."""


class WatchdogLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a consumer that should deliver and doesn't is replaced (aiokafka issue 1154)."""

    stall_s: float = 60.0
    """Nothing delivered for this long, not paused, and the broker says there is more."""
    max_restarts: int = 3
    """In a row, without a delivery between them; then the service ends with exit 1."""
    probe_timeout_s: float = 10.0
    """For asking the broker where its logs end."""


class ServiceLimits(msgspec.Struct, frozen=True, kw_only=True):
    """All of the above that isn't about where Kafka is."""

    batch: BatchLimits = BatchLimits()
    in_flight: InFlightLimits = InFlightLimits()
    drain: DrainBudget = DrainBudget()
    commit: CommitPolicy = CommitPolicy()
    publish: PublishLimits = PublishLimits()
    fuse: FuseLimits = FuseLimits()
    watchdog: WatchdogLimits = WatchdogLimits()


class Until(msgspec.Struct, frozen=True, kw_only=True):
    """When a bounded run is over: whichever comes first. All that was received is finished then."""

    max_records: int | None = None
    """So many records were received."""
    caught_up_s: float | None = None
    """Everything assigned is read to its end and settled, and nothing new came for so long."""
