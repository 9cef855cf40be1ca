"""The embedded broker against real clients."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from infra.kafka import (
    BrokerError,
    BrokerSettings,
    BrokerStartError,
    EmbeddedKafka,
    TopicSpec,
    create_topics,
)
from tests.polling import until
from tests.process import Process


async def _topic(kafka: EmbeddedKafka, partitions: int = 2) -> str:
    name = f"t-{secrets.token_hex(4)}"
    await create_topics({"bootstrap_servers": kafka.bootstrap}, [TopicSpec(name, partitions)])
    return name


async def _produce(kafka: EmbeddedKafka, topic: str, values: range) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        sent = [await producer.send(topic, b"%d" % n, b"%d" % n) for n in values]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def _consume(kafka: EmbeddedKafka, topic: str, count: int, partitions: int = 2) -> list[int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, p) for p in range(partitions)])
        values: list[int] = []
        async with asyncio.timeout(30):
            while len(values) < count:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    values.extend(int(record.value) for record in batch)
        return sorted(values)
    finally:
        await consumer.stop()


def _alive(pid: int) -> bool:
    """Whether it runs; a zombie doesn't."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # gone in between, or not Linux
        return sys.platform != "linux"
    return state.rpartition(")")[2].split()[0] != "Z"


async def test_a_second_broker_answers_each_kind_of_request_at_once_and_leaves_no_trace(
    kafka: EmbeddedKafka,
) -> None:
    """Ready is when coordinator, metadata and producer ids are there: no retry is allowed."""
    async with EmbeddedKafka() as other:
        assert other.bootstrap != kafka.bootstrap
        admin = AIOKafkaAdminClient(bootstrap_servers=other.bootstrap)
        try:
            await admin.start()
            assert len((await admin.describe_cluster())["brokers"]) == 1
            assert await admin.find_coordinator("any") == 1
            assert set(await admin.list_topics()) == {"__consumer_offsets"}
        finally:
            await admin.close()
        pid, folder = other.pid, other.data_dir
        assert pid is not None
        assert folder.exists()
    assert not _alive(pid)
    assert not folder.exists()
    assert kafka.running


async def test_an_idempotent_producers_records_are_read_back_once_each(
    kafka: EmbeddedKafka,
) -> None:
    topic = await _topic(kafka)
    await _produce(kafka, topic, range(500))
    assert await _consume(kafka, topic, 500) == list(range(500))


async def test_a_group_of_two_shares_the_partitions(kafka: EmbeddedKafka) -> None:
    topic = await _topic(kafka)

    def member() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            topic,
            bootstrap_servers=kafka.bootstrap,
            group_id=topic,
            auto_offset_reset="earliest",
            heartbeat_interval_ms=200,
        )

    first, second = member(), member()
    await first.start()
    await second.start()
    try:
        async with asyncio.timeout(30):
            while not (len(first.assignment()) == len(second.assignment()) == 1):
                await asyncio.gather(first.getmany(timeout_ms=50), second.getmany(timeout_ms=50))
        assert first.assignment() | second.assignment() == {
            TopicPartition(topic, 0),
            TopicPartition(topic, 1),
        }
    finally:
        await asyncio.gather(first.stop(), second.stop())


async def test_after_kill_9_it_restarts_where_it_was_with_every_acknowledged_record() -> None:
    async with EmbeddedKafka() as kafka:
        topic, bootstrap = await _topic(kafka), kafka.bootstrap
        await _produce(kafka, topic, range(300))
        killed = kafka.pid
        await kafka.kill()
        assert not kafka.running
        assert killed is not None
        assert not _alive(killed)
        await kafka.restart()
        assert kafka.bootstrap == bootstrap
        await _produce(kafka, topic, range(300, 400))
        assert await _consume(kafka, topic, 400) == list(range(400))


async def test_a_given_folder_is_kept_and_can_be_started_again_on_another_port(
    tmp_path: Path,
) -> None:
    async with EmbeddedKafka(BrokerSettings(data_dir=tmp_path / "data")) as kafka:
        topic, first = await _topic(kafka), kafka.bootstrap
        await _produce(kafka, topic, range(10))
    with socket.socket() as taken:  # else the same one may be drawn again
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(first.rpartition(":")[2])))
        taken.listen()
        async with EmbeddedKafka(BrokerSettings(data_dir=tmp_path / "data")) as kafka:
            assert kafka.bootstrap != first
            assert await _consume(kafka, topic, 10) == list(range(10))
    assert (tmp_path / "data" / "kafka.log").stat().st_size > 0


_PARENT = textwrap.dedent("""
    import asyncio, json
    from infra.kafka import EmbeddedKafka

    async def main():
        kafka = EmbeddedKafka()
        await kafka.start()
        broker = {"pid": kafka.pid, "folder": str(kafka.data_dir)}
        print("broker: " + json.dumps(broker), flush=True)
        await kafka.wait()

    asyncio.run(main())
""")


async def test_a_parent_killed_with_9_leaves_no_java_and_no_folder() -> None:
    async with Process(sys.executable, "-c", _PARENT) as parent:
        broker = json.loads((await parent.wait_for_line("broker: ")).removeprefix("broker: "))
        assert _alive(broker["pid"])
        await parent.kill()
        await until(lambda: not _alive(broker["pid"]) and not Path(broker["folder"]).exists())


async def test_a_killed_guard_takes_java_along_and_is_told() -> None:
    kafka = EmbeddedKafka()
    await kafka.start()
    try:
        assert kafka.pid is not None
        pid, folder = kafka.pid, kafka.data_dir
        assert kafka._launch is not None
        os.kill(kafka._launch._supervisor._process.pid, signal.SIGKILL)
        assert await asyncio.wait_for(kafka.wait(), 10) == -signal.SIGKILL
        await until(lambda: not _alive(pid))
        with pytest.raises(BrokerError, match="guard process was killed"):
            await kafka.restart()
    finally:
        await kafka.stop()
    assert not folder.exists()


async def test_a_port_in_use_is_named_before_java_is_started(kafka: EmbeddedKafka) -> None:
    port = int(kafka.bootstrap.rpartition(":")[2])
    with pytest.raises(BrokerError, match=f"port {port} of 127.0.0.1 is in use"):
        await EmbeddedKafka(BrokerSettings(port=port)).start()


async def test_a_failed_start_shows_the_logs_decisive_lines_and_keeps_the_log() -> None:
    settings = BrokerSettings(properties={"log.cleaner.threads": "-3"})
    with pytest.raises(BrokerStartError, match=r"log\.cleaner\.threads") as caught:
        await EmbeddedKafka(settings).start()
    assert "log.cleaner.threads" in caught.value.log_tail
    assert caught.value.log_path.exists()


async def test_a_broker_that_does_not_answer_in_time_is_ended() -> None:
    with pytest.raises(BrokerStartError, match="didn't answer within"):
        await EmbeddedKafka(BrokerSettings(start_timeout_s=0.2)).start()


_USES: dict[str, Callable[[EmbeddedKafka], Awaitable[object]]] = {
    "kill": lambda kafka: kafka.kill(),
    "restart": lambda kafka: kafka.restart(),
    "wait": lambda kafka: kafka.wait(),
}


@pytest.mark.parametrize("use", _USES)
async def test_a_broker_never_started_says_so(use: str) -> None:
    with pytest.raises(BrokerError, match="isn't started"):
        await _USES[use](EmbeddedKafka())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"host": "0.0.0.0"}, "name one address"),
        ({"port": 70000}, "outside 1..65535"),
        ({"heap_mb": 32}, "too little"),
        ({"default_partitions": 0}, "1 or more"),
        ({"start_timeout_s": 0.0}, "seconds above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_words(
    wrong: dict[str, object], says: str
) -> None:
    with pytest.raises(BrokerError, match=says):
        BrokerSettings(**wrong)  # type: ignore[arg-type]
