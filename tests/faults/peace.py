"""What is tried when all faults are over: fairness between partitions, and the fuse."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import msgspec

from consumer.dead_letters import Reason
from consumer.errors import FuseBlown
from consumer.options import FuseLimits
from tests.faults.breakage import World
from tests.faults.cluster import NAMES
from tests.faults.extras import Due, Extras, Sent
from tests.faults.slots import Member, Slot
from tests.faults.verdict import Input, Position, Verdict

_BACKLOG, _FEW = 2_500, 10
"""Posts of the partition with a backlog, at once, and of the other, one each half second. One
consumer takes some 25 s for the backlog: the others come into the middle of it."""
_FEW_EVERY_S = 0.5
_OVERTAKEN = 256
"""Posts of the backlog that may be served before one of the few: four batches, half of what may be
under way. What has been sent to a model server goes first, and what was sent while it was fetched.
Counted in posts, since how long these take is the machine's matter."""
_SETTLED_S = 180.0
"""Without a commit, while there is something to commit: a server that was refused its key is tried
again after a minute, a frozen group member is missed after six seconds."""
_STARTS, _POISON = 3, 25
"""Posts that nobody can decode, of one write: a few, so that letters are acknowledged before the
fuse has seen enough of them; all at once it would blow before the first one."""
_POISON_EVERY_S = 0.2
_BLOWN_S = 90.0


class Fairness(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds."""

    backlog_s: float
    """From the first post of the backlog to the last one's event."""
    few_median_s: float
    few_longest_s: float
    """From a post of the other partition to its event."""
    overtaken: int
    """Events of the backlog between a post of the other partition and its event, at most."""

    @property
    def breach(self) -> str | None:
        """How it was unfair, if it was."""
        if self.overtaken <= _OVERTAKEN:
            return None
        return f"behind {self.overtaken} posts of a backlog, for {self.few_longest_s:.1f} s"


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """One start with a fuse that blows."""

    status: int
    error: str | None
    committed: int
    """Offset of the poisoned partition afterwards."""
    waiting: int = 0
    """Posts that nobody can decode which were there when it started."""


async def last_posts(world: World) -> bool:
    """Write a last post to each partition; False: they, or what is before them, stay unfinished."""
    ends: dict[tuple[str, int], int] = {}
    for partition in range(world.cluster.partitions):
        (sent,) = await world.extras.send("last", "The last one", partition=partition)
        ends[NAMES.posts, partition] = sent.offset + 1
    return await world.cluster.past(ends, _SETTLED_S)


async def keep_one(world: World) -> Slot:
    """Leave one consumer, with all partitions."""
    await asyncio.gather(*(world.crew.empty(slot) for slot in world.crew.want(1)))
    await last_posts(world)  # only once the others are missed will all of them be done
    return world.crew.slots[0]


async def backlog(world: World) -> None:
    """Write a backlog to one partition, and meanwhile a few posts to another."""
    extras = world.extras

    async def few() -> list[Sent]:
        sent = []
        for _ in range(_FEW):
            await asyncio.sleep(_FEW_EVERY_S)
            sent += await extras.send("few", "One of a few", partition=1)
        return sent

    writing = extras.send("backlog", "One of many", partition=0, count=_BACKLOG)
    many, others = await asyncio.gather(writing, few())
    ends = {(NAMES.posts, one[-1].log): one[-1].offset + 1 for one in (many, others)}
    await world.cluster.past(ends, _SETTLED_S)


def fairness(extras: Extras, inputs: dict[Position, Input], verdict: Verdict) -> Fairness | None:
    """What the outputs say of it; None where a post has none: it is lost, which is told already."""

    def spans(kind: str) -> list[tuple[float, float]]:
        where = [(extras.sent[key].log, extras.sent[key].offset) for key in extras.kinds[kind]]
        return [(inputs[one].at, verdict.first[one]) for one in where if one in verdict.first]

    many, few = spans("backlog"), spans("few")
    if not many or not few:
        return None
    waits = [(done - at) / 1000 for at, done in few]
    ended = sorted(done for _, done in many)
    return Fairness(
        backlog_s=round((max(done for _, done in many) - min(at for at, _ in many)) / 1000, 2),
        few_median_s=round(median(waits), 2),
        few_longest_s=round(max(waits), 2),
        overtaken=max(bisect_left(ended, done) - bisect_right(ended, at) for at, done in few),
    )


async def blow_the_fuse(world: World, slot: Slot) -> list[Start]:
    """Let nearly everything be poison, and start a consumer on it three times."""
    crew, extras, partition = world.crew, world.extras, 2
    crew.resting = True
    if slot.member is not None:
        await crew.empty(slot)
    starts = []
    for _ in range(_STARTS):
        waiting = await _waiting(world, partition)
        member = await crew.start(slot)
        slot.held = True
        crew.forgive(3, _BLOWN_S, FuseBlown)
        try:
            async with asyncio.timeout(_BLOWN_S):
                await _poison_until_ended(extras, member, partition)
        except TimeoutError:
            await crew.kill(member)
        crew.note_end(member, by="fuse")
        committed = (await world.cluster.committed()).get((NAMES.posts, partition), 0)
        status = member.process.returncode
        assert status is not None
        starts.append(
            Start(status=status, error=member.error, committed=committed, waiting=waiting)
        )
    slot.member, slot.held = None, False
    return starts


async def _waiting(world: World, partition: int) -> int:
    committed = (await world.cluster.committed()).get((NAMES.posts, partition), 0)
    extras = world.extras
    return sum(extras.sent[key].offset >= committed for key in extras.kinds["fuse"])


async def _poison_until_ended(extras: Extras, member: Member, partition: int) -> None:
    due = Due(dead_letter=Reason.NOT_JSON, may_wait=True)
    while member.running:
        if member.ready:
            made = [(extras.make("fuse", "", due)[0], b"this is no JSON") for _ in range(_POISON)]
            await extras.write(made, NAMES.posts, partition)
        await asyncio.sleep(_POISON_EVERY_S)
    await member.process.wait()


def fuse_breaches(
    extras: Extras, starts: Sequence[Start], verdict: Verdict, *, exactly_once: bool = False
) -> list[str]:
    """What the fuse didn't keep: what is acknowledged is committed, and isn't written again.

    A start that finds as many of these posts as the fuse looks at may blow it before its first
    transaction is committed: with `exactly_once` it may commit nothing, and write nothing.
    """
    enough = FuseLimits().window if exactly_once else float("inf")
    sent = [extras.sent[key] for key in extras.kinds["fuse"]]
    found = [
        f"start {number}: exit {start.status} with {start.error}, not 3 with FuseBlown"
        for number, start in enumerate(starts, start=1)
        if (start.status, start.error) != (3, FuseBlown.__name__)
    ]
    found += [
        f"start {number} committed nothing: {after.committed}"
        for number, (before, after) in enumerate(pairwise(starts), start=2)
        if after.committed <= before.committed and after.waiting < enough
    ]
    copies = [verdict.copies[one.log, one.offset] for one in sent]
    if any(count > 1 for count in copies):
        found.append(f"{sum(count > 1 for count in copies)} letters were written again")
    letters = sum(count > 0 for count in copies)
    committed = sum(one.offset < starts[-1].committed for one in sent) if starts else 0
    if letters != committed:
        found.append(f"{letters} letters are acknowledged, {committed} posts are committed")
    return found
