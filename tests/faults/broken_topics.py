"""Faults of the input topics: a batch that a bad disk has changed, a topic created again."""

import asyncio
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer

from consumer.telemetry import log_events
from runtime.errors import Misconfigured
from runtime.kafka.errors import TopicMissing
from tests.faults.breakage import Breakage, World
from tests.faults.cluster import NAMES, REMADE
from tests.faults.plan import Fault

_POSTS = 12
"""In a batch that is going to be corrupted, about."""
_NOTICED_S = 45.0
"""For a member to come to the batch: all may be starting, or waiting for a model server."""
_SKIPPED_S = 40.0
"""For a group to be empty: a killed or static member is missed after its session timeout."""
_HEADER = 70
"""Bytes: a batch's header (61) and a little of its first record; its length isn't touched."""


class CorruptBatch(Breakage):
    """One bit of a batch turns on the broker's disk, before anybody has read it.

    Its partition must stop there, and only it. Then the disk is repaired, and the members go on by
    themselves; or they are stopped, and the batch is skipped by `emostream offsets skip`.

    Until then nothing else happens to the broker: one that is killed checks its log at the start,
    and cuts it at the batch, acknowledged posts behind it included.
    """

    families = ("broker", "members")

    async def run(self, world: World, fault: Fault) -> None:
        partition = fault.target % world.cluster.partitions
        offset, path, at = await self._write(world, partition, fault.number)
        try:
            stopped = await self._until_stopped(world, partition, offset)
            world.notes["corrupt batch: its partition stopped"] += stopped
            if stopped and fault.strength > 0.5:
                await self._skip(world, partition, offset)
        finally:
            _turn(path, at)
        world.notes["corrupt batch: injected"] += 1

    async def _write(self, world: World, partition: int, number: int) -> tuple[int, Path, int]:
        """Write a batch, corrupt it before it can be read; give its offset and what was turned.

        What an open transaction wrote is on the disk, and isn't handed out.
        """
        extras = world.extras
        producer = AIOKafkaProducer(
            bootstrap_servers=extras.bootstrap, transactional_id=f"{extras.prefix}{number}"
        )
        await producer.start()
        try:
            async with producer.transaction():
                made = [extras.make("corrupt", "On a bad disk") for _ in range(_POSTS)]
                acks = [
                    await producer.send(NAMES.posts, key=key, value=value, partition=partition)
                    for key, value in made
                ]
                offsets = [(await ack).offset for ack in acks]
                extras.note(
                    partition,
                    [(key, at) for (key, _), at in zip(made, offsets, strict=True)],
                )
                first = min(offsets)
                path, at = _find(world.cluster.kafka.data_dir, partition, first)
                _turn(path, at)
        finally:
            await producer.stop()
        return first, path, at

    async def _until_stopped(self, world: World, partition: int, offset: int) -> bool:
        event, name = log_events.PARTITION_STOPPED, f"{NAMES.posts}-{partition}"
        loop = asyncio.get_running_loop()
        until = loop.time() + _NOTICED_S
        while loop.time() < until:
            if world.crew.logged(event, partition=name, offset=offset):
                return True
            await asyncio.sleep(0.5)  # log files of other processes
        return False

    async def _skip(self, world: World, partition: int, offset: int) -> None:
        """Skip it, as the runbook says: once what is before it is done, with no member up."""
        where = (NAMES.posts, partition)
        if not await world.cluster.past({where: offset}, _NOTICED_S):
            world.notes["corrupt batch: repaired, what is before it took too long"] += 1
            return
        crew = world.crew
        crew.resting = True
        try:
            await asyncio.gather(*(crew.empty(slot) for slot in crew.up()))
            for found in await self._command(world, f"{NAMES.posts}/{partition}"):
                first, after = found["first"], found["next"]
                for one in world.extras.sent_in_batch(partition, first, after):
                    world.extras.due[one].skipped = True
                    world.notes["corrupt batch: posts skipped"] += 1
        finally:
            crew.resting = False

    async def _command(self, world: World, partition: str) -> Sequence[dict[str, int]]:
        """`emostream offsets skip`, again until the group is empty."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _SKIPPED_S
        while True:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "emostream", "offsets", "skip", "--json"),
                *("--config", str(world.crew.slots[0].config), "--partition", partition),
                *("--bootstrap", world.extras.bootstrap),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, error = await process.communicate()
            if process.returncode == 0:
                return [dict(one) for one in msgspec.json.decode(out)]
            if loop.time() > until:
                raise RuntimeError(f"offsets skip: {process.returncode}: {error.decode()[-500:]}")
            await asyncio.sleep(1.0)


class TopicRemade(Breakage):
    """An input topic is deleted, whatever of it is under way, and created again with other posts.

    What wasn't done of the old one never will be; all of the new one must be.
    """

    families = ("broker", "remade")

    async def run(self, world: World, fault: Fault) -> None:
        extras, cluster = world.extras, world.cluster
        await extras.send_remade("Of the old topic", 20)
        # At times nothing of it was read, at times all.
        await asyncio.sleep(fault.strength * 2)
        # A member that starts while an input topic is missing says so, and ends.
        world.crew.forgive(2, 60, TopicMissing, Misconfigured)
        extras.life_is_ending()
        await cluster.delete(REMADE)
        extras.life_ended()
        await asyncio.sleep(fault.seconds / 2)
        await cluster.make_topics()
        extras.life_begins(await cluster.topic_id(REMADE))
        for error in (TopicMissing, Misconfigured):
            world.crew.repaired(2, error)
        await extras.send_remade("Of the new topic", 10 + fault.target * 4)


def _find(data_dir: Path, partition: int, offset: int) -> tuple[Path, int]:
    """The segment file that holds the batch with this offset, and a byte of its records."""
    folder = data_dir / f"{NAMES.posts}-{partition}"
    if not folder.exists():
        (folder,) = data_dir.rglob(f"{NAMES.posts}-{partition}")
    path = max(one for one in folder.glob("*.log") if int(one.stem) <= offset)
    with path.open("rb") as file:
        at, head = 0, file.read(27)
        while len(head) == 27:
            first, length = struct.unpack_from(">qi", head)
            (last,) = struct.unpack_from(">i", head, 23)
            if first <= offset <= first + last:
                return path, at + _HEADER
            at += 12 + length
            file.seek(at)
            head = file.read(27)
    raise RuntimeError(f"offset {offset} is in no batch of {path}")


def _turn(path: Path, at: int) -> None:
    """Turn one bit; once more turns it back."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))
