"""What a soak must not miss: a leak, a slowdown, a lost post."""

import math
import random

import msgspec

from bench.soak.log import Change, Counts, Line, Rebalance, Record, Sample, Setup, Window
from bench.soak.verdict import judge

MINUTES = 30
EVERY_S = 120.0
POSTS_PER_S = 400 / 3


def run(
    *,
    bytes_per_post: float = 0,
    fds_per_rebalance: float = 0,
    tasks_per_rebalance: float = 0,
    last_p99_ms: float = 90,
    **counts: int,
) -> Record:
    """Half an hour as it should be, but for what is given: noisy, and less work when shared."""
    rng = random.Random(1)
    end = MINUTES * 60
    lines: list[Line] = [
        Setup(
            began="2026-01-01T00:00:00+00:00",
            minutes=MINUTES,
            rebalance_every_s=EVERY_S,
            posts_per_s=POSTS_PER_S,
            prompts_per_post=3,
            capacity=800,
            latency_s=0.06,
            backlog=4_000,
            cache_entries=45_000,
            partitions=4,
            cpus=2,
        )
    ]
    consumed = 0.0
    for beat in range(end // 5 + 1):
        at_s = 5.0 * beat
        before = math.floor(at_s / EVERY_S)
        shared = before % 2 == 0
        consumed += 5 * POSTS_PER_S / (1 + shared)
        cache_mb = 20 * min(1, at_s / 300)
        lines.append(
            Sample(
                at_s=at_s,
                rss_mb=75 + cache_mb + consumed * bytes_per_post / 1e6 + rng.uniform(0, 0.3),
                fds=round(45 - 10 * shared + before * fds_per_rebalance + rng.expovariate(0.1)),
                threads=6,
                tasks=round(140 + before * tasks_per_rebalance + rng.expovariate(0.3)),
                cpu_s=at_s / 10,
                consumed=round(consumed),
                in_flight=20,
                lag=20,
                partitions=2 if shared else 4,
            )
        )
    for turn in range(int(end / EVERY_S)):
        began_s = turn * EVERY_S
        lines.append(Change(at_s=began_s, joins=turn % 2 == 0))
        lines.append(
            Rebalance(
                at_s=began_s + 3,
                began_s=began_s,
                partitions=2 if turn % 2 == 0 else 4,
                drained_s=0.1,
                paused_s=3.0,
                abandoned=0,
                planned=True,
            )
        )
    for number in range(end // 30):
        p99 = 90 if number < 45 else last_p99_ms
        troubled = 2_900 if number % 4 == 0 else 0
        lines.append(
            Window(
                at_s=30.0 * number,
                seconds=30,
                posts=4_000,
                p50_ms=70 + rng.uniform(0, 2),
                p99_ms=p99 + troubled + rng.uniform(0, 8),
                worst_ms=3_000,
            )
        )
    whole = Counts(
        posts=244_000,
        events=244_000,
        dead_letters=0,
        lost=0,
        redelivered=12,
        other_ids=0,
        uncommitted=0,
        not_written=0,
        assignor="roundrobin, 2 members",
        exits=(0, 0, 0),
        tracebacks=0,
    )
    return Record([*lines, msgspec.structs.replace(whole, **counts)])


def test_a_run_as_it_should_be_is_flat() -> None:
    verdict = judge(run())
    assert verdict.broken == ()
    assert (verdict.from_s, verdict.to_s) == (360, 1800)
    assert verdict.rebalances == 15


def test_an_object_that_leaks_with_every_post_is_seen() -> None:
    (broken,) = judge(run(bytes_per_post=32)).broken
    assert broken.startswith("resident memory grew by")


def test_a_descriptor_that_leaks_with_every_rebalance_is_seen_through_the_loads_noise() -> None:
    (broken,) = judge(run(fds_per_rebalance=1)).broken
    assert broken.startswith("file descriptors grew by")


def test_a_task_that_leaks_with_every_rebalance_is_seen_through_the_loads_noise() -> None:
    (broken,) = judge(run(tasks_per_rebalance=1)).broken
    assert broken.startswith("asyncio tasks grew by")


def test_a_p99_that_creeps_up_is_seen_though_rebalances_are_worse() -> None:
    verdict = judge(run(last_p99_ms=130))
    (broken,) = verdict.broken
    assert broken.startswith("p99 went from 9")
    assert verdict.first.p99_rebalance_ms > 2_900


def test_a_lost_post_is_seen() -> None:
    assert judge(run(lost=1, events=243_999)).broken == (
        "1 posts lost",
        "244000 posts, 243999 events",
    )


def test_a_rebalance_that_no_change_explains_is_seen() -> None:
    record = run()
    record.rebalances[-1] = msgspec.structs.replace(record.rebalances[-1], planned=False)
    assert judge(record).broken == (
        "15 changes of the group, 14 rebalances for them",
        "1 rebalances that no change explains",
    )
