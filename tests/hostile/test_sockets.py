"""The consumer talks to its brokers and model servers, listens where configured, and no more."""

import asyncio
import json
import os
import shutil
import signal
import sys
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from infra.kafka import create_topics, default_topics
from producer import Broker
from runtime.kafka.topic_log import kafka_topic_log
from tests.hostile.sockets import Sockets, sockets_of, traced
from tests.process import Process
from tests.tgi import FakeTgi
from tests.topics import topic_names

POSTS = 40
STRACE = shutil.which("strace")
TRACE = ("-f", "-qq", "-s", "200", "-e", "trace=connect,bind,listen,sendto,sendmsg", "-o")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Watched:
    """A real `emostream consume`, looked at from its start to its end."""

    def __init__(self, folder: Path, bootstrap: str, model_server: str) -> None:
        mark = uuid.uuid4().hex[:8]
        self.names = topic_names(mark)
        self.bootstrap = bootstrap
        self.folder = folder
        self.config = folder / "emostream.toml"
        self.config.write_text(
            f"""
kafka.bootstrap = "{bootstrap}"
input = {{ topics = ["{self.names.posts}"], group_id = "{mark}" }}
output = {{ events_topic = "{self.names.events}", dlq_topic = "{self.names.dead_letters}" }}
model.servers = ["{model_server}"]
http.port = 0
""",
            encoding="utf-8",
        )
        self.seen: set[Sockets] = set()
        self.listens_at = ""

    async def run(self, *before: str) -> None:
        """Start it, have it publish, and stop it; `before` comes before its command line."""
        topics = default_topics(self.names, partitions=2)
        await create_topics({"bootstrap_servers": self.bootstrap}, topics)
        command = (sys.executable, "-m", "emostream", "consume", "--config", str(self.config))
        async with Process(*before, *command) as process:
            looking = None if before else asyncio.create_task(self._look(process.pid))
            ready = await process.wait_for_line("consumer is ready")
            self.listens_at = ready.rpartition("http://")[2]
            await self._publish()
            os.kill(_child(process.pid) if before else process.pid, signal.SIGTERM)
            assert await process.wait() == 0
            if looking is not None:
                await looking

    async def _look(self, pid: int) -> None:
        while True:
            try:
                self.seen.add(sockets_of(pid))
            except OSError:  # it has ended
                return
            await asyncio.sleep(0.01)

    async def _publish(self) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await producer.start()
        for number in range(POSTS):
            post = json.dumps({"id": str(number), "text": f"Hello {number}."}).encode()
            await producer.send_and_wait(self.names.posts, post)
        await producer.stop()
        async with (
            asyncio.timeout(60),
            kafka_topic_log(self.names.events, Broker(bootstrap=self.bootstrap)) as log,
        ):
            while sum(span.end for span in (await log.spans()).values()) < POSTS:  # noqa: ASYNC110
                await asyncio.sleep(0.1)


def _child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(children[0])


async def test_it_has_no_socket_but_the_configured_ones(tmp_path: Path, bootstrap: str) -> None:
    """Looked at every hundredth of a second, by the kernel's tables."""
    async with FakeTgi() as tgi:
        watched = Watched(tmp_path, bootstrap, tgi.url)
        await watched.run()
    configured = {bootstrap, tgi.url.removeprefix("http://")}
    # Equal, so both peers were seen: a poll that never looked can't pass.
    assert set().union(*(one.talks_to for one in watched.seen)) == configured
    assert set().union(*(one.listens for one in watched.seen)) == {watched.listens_at}
    assert watched.listens_at.startswith("127.0.0.1:")
    assert not any(one.datagrams for one in watched.seen)


@pytest.mark.skipif(STRACE is None, reason="no strace here")
async def test_it_asks_the_kernel_for_no_other_however_short(
    tmp_path: Path, bootstrap: str
) -> None:
    """Every system call of every thread and child, from start to end."""
    assert STRACE is not None
    log = tmp_path / "strace"
    async with FakeTgi() as tgi:
        watched = Watched(tmp_path, bootstrap, tgi.url)
        await watched.run(STRACE, *TRACE, str(log))
    calls = traced(log.read_text(encoding="utf-8", errors="replace"))
    assert calls.pop("connect") == {bootstrap, tgi.url.removeprefix("http://")}
    # It asked for port 0, any free one.
    assert calls.pop("bind") == {"127.0.0.1:0"}
    assert calls == {}
