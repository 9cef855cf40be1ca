"""What is handed to aiokafka, and what its errors and its silences are read as."""

import asyncio
import re
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, errors

from runtime.kafka import aiokafka_brokers, producing
from runtime.kafka.aiokafka_brokers import AiokafkaConsumer, AiokafkaProducer
from runtime.kafka.connection import Broker
from runtime.kafka.errors import (
    Denied,
    Fenced,
    KafkaFault,
    NoOffset,
    ProducerLost,
    RecordRefused,
    RecordTooLarge,
    TopicMissing,
    Unreachable,
)
from runtime.kafka.faults import read_fault
from runtime.kafka.options import KafkaOptions
from runtime.kafka.partitioning import partition_of
from runtime.kafka.producing import Delivery, kafka_producer
from runtime.kafka.protocol import OffsetAndMetadata, Partition

OPTIONS = KafkaOptions(
    bootstrap="one:9092,two:9092",
    group_id="readers",
    input_topics=("posts",),
    security={"security_protocol": "SSL"},
    client_id="me",
    group_instance_id="pod-1",
    auto_offset_reset="latest",
    session_timeout_s=11.0,
    heartbeat_interval_s=3.5,
    rebalance_timeout_s=41.0,
    max_poll_interval_s=301.0,
    request_timeout_s=42.0,
    compression="zstd",
)


class Recorder:
    """A fake of aiokafka's client: remembers its options and its calls."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.subscribed: dict[str, Any] = {}
        self.started = False
        self._fetcher = SimpleNamespace(_update_fetch_positions=None)
        self.client = self._client = SimpleNamespace(coordinator_lookup=None)

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.started = False

    def subscribe(self, topics: Any = (), **options: Any) -> None:
        self.subscribed = {"topics": topics, **options}


class Listener:
    async def on_revoked(self, partitions: frozenset[Partition]) -> None: ...

    async def on_assigned(self, partitions: frozenset[Partition]) -> None: ...


async def started_consumer(monkeypatch: pytest.MonkeyPatch, options: KafkaOptions) -> Any:
    monkeypatch.setattr(aiokafka_brokers, "AIOKafkaConsumer", Recorder)
    consumer = AiokafkaConsumer(options)
    await consumer.start()
    return consumer


async def test_every_option_of_the_consumer_reaches_aiokafka(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = await started_consumer(monkeypatch, OPTIONS)
    handed = consumer._consumer.options
    (assignor,) = handed.pop("partition_assignment_strategy")
    assert assignor.name == "roundrobin"
    assert handed == {
        "bootstrap_servers": "one:9092,two:9092",
        "client_id": "me",
        "group_id": "readers",
        "group_instance_id": "pod-1",
        "auto_offset_reset": "latest",
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "session_timeout_ms": 11_000,
        "heartbeat_interval_ms": 3_500,
        "rebalance_timeout_ms": 41_000,
        "max_poll_interval_ms": 301_000,
        "request_timeout_ms": 42_000,
        "metadata_max_age_ms": 30_000,
        "retry_backoff_ms": 100,
        "fetch_max_wait_ms": 100,
        "fetch_max_bytes": 8_388_608,
        "max_partition_fetch_bytes": 1_048_576,
        "security_protocol": "SSL",
    }


@pytest.mark.parametrize("compression", ["zstd", "none"])
async def test_every_option_of_the_producer_reaches_aiokafka(
    monkeypatch: pytest.MonkeyPatch, compression: Any
) -> None:
    monkeypatch.setattr(aiokafka_brokers, "AIOKafkaProducer", Recorder)
    producer: Any = AiokafkaProducer(
        KafkaOptions(bootstrap="b:1", group_id="g", client_id="me", compression=compression)
    )
    await producer.start()
    assert producer._producer.options == {
        "bootstrap_servers": "b:1",
        "client_id": "me",
        "enable_idempotence": True,
        "acks": "all",
        "compression_type": None if compression == "none" else "zstd",
        "linger_ms": 0,
        "partitioner": partition_of,
        "max_batch_size": 65_536,
        "max_request_size": 2**31 - 1,
        "request_timeout_ms": 40_000,
        "metadata_max_age_ms": 30_000,
        "retry_backoff_ms": 100,
    }


async def test_the_tools_producer_is_idempotent_and_waits_for_all_replicas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(producing, "AIOKafkaProducer", Recorder)
    broker = Broker(bootstrap="b:1", security={"security_protocol": "SSL"})
    async with kafka_producer(broker, Delivery(linger_ms=7)) as producer:
        handed = producer.options  # type: ignore[attr-defined]
    assert handed["enable_idempotence"] is True
    assert handed["acks"] == "all"
    assert handed["linger_ms"] == 7
    assert handed["partitioner"] is partition_of
    assert handed["security_protocol"] == "SSL"


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("x", ["x"], ["x.private", "ax"]),
        ("posts|tweets", ["posts", "tweets"], ["posts2", "retweets"]),
        ("(?i)posts|tweets", ["Posts", "TWEETS"], ["posts2", "retweets"]),
        ("(?i)(?x)posts # or\n| tweets # as well", ["Posts", "tweets"], ["posts2", "retweets"]),
    ],
)
async def test_a_pattern_matches_whole_names_as_aiokafka_uses_it(
    monkeypatch: pytest.MonkeyPatch, pattern: str, taken: list[str], left: list[str]
) -> None:
    options = KafkaOptions(bootstrap="b:1", group_id="g", input_pattern=pattern)
    consumer = await started_consumer(monkeypatch, options)
    consumer.subscribe(Listener())
    handed = re.compile(consumer._consumer.subscribed["pattern"])
    assert [name for name in (*taken, *left) if handed.match(name)] == taken


async def test_a_consumer_that_is_not_connected_yet_has_no_partitions_and_can_not_tell() -> None:
    """While it replaces another one, health and the look at topics ask it all the same."""
    consumer = AiokafkaConsumer(OPTIONS)
    assert consumer.assignment() == frozenset()
    with pytest.raises(Unreachable):
        await consumer.topic_facts(["posts"], timeout_s=1.0)


async def test_a_member_that_was_thrown_out_commits_nothing() -> None:
    """Brokers would take its commit, with generation -1, while the group is empty."""

    class ThrownOut:
        def __init__(self) -> None:
            self._coordinator = self
            self.generation = -1
            self.commits: list[Any] = []

        def assignment(self) -> set[Any]:
            return set()

        async def commit(self, offsets: Any) -> None:
            self.commits.append(offsets)

    consumer = AiokafkaConsumer(OPTIONS)
    consumer._consumer = client = ThrownOut()
    with pytest.raises(Fenced):
        await consumer.commit({Partition("posts", 0): OffsetAndMetadata(5)})
    assert client.commits == []
    client.generation = 3
    await consumer.commit({Partition("posts", 0): OffsetAndMetadata(5, "words")})
    assert client.commits == [{Partition("posts", 0): (5, "words")}]


@pytest.mark.parametrize("asked", ["end_offsets", "beginning_offsets"])
async def test_a_client_that_hangs_is_unreachable(asked: str) -> None:
    class Hanging:
        async def end_offsets(self, _: Any) -> None:
            await asyncio.get_running_loop().create_future()

        beginning_offsets = end_offsets

    consumer = AiokafkaConsumer(OPTIONS)
    consumer._consumer = Hanging()
    with pytest.raises(Unreachable):
        await getattr(consumer, asked)([Partition("posts", 0)], timeout_s=0.01)


async def test_stopping_a_producer_ends_the_sends_that_no_broker_answers() -> None:
    class Stuck:
        def __init__(self) -> None:
            self._message_accumulator = self
            self.pending: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def fail_all(self, error: Exception) -> None:
            self.pending.set_exception(error)

        async def stop(self) -> None:
            await asyncio.wait((self.pending,))

    producer = AiokafkaProducer(OPTIONS)
    producer._producer = client = Stuck()
    async with asyncio.timeout(10):
        await producer.stop(timeout_s=0.1)
    assert isinstance(client.pending.exception(), errors.ProducerClosed)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (errors.MessageSizeTooLargeError(), RecordTooLarge),
        (errors.RecordListTooLargeError(), RecordTooLarge),
        (errors.InvalidTimestampError(), RecordRefused),
        (errors.PolicyViolationError(), RecordRefused),
        (errors.for_code(87)(), RecordRefused),  # INVALID_RECORD: no key, on a compacted topic
        (errors.CommitFailedError(), Fenced),
        (errors.IllegalGenerationError(), Fenced),
        (errors.UnknownMemberIdError(), Fenced),
        (errors.RebalanceInProgressError(), Fenced),
        (errors.IllegalStateError(), Fenced),
        (errors.TopicAuthorizationFailedError("posts"), Denied),
        (errors.GroupAuthorizationFailedError("g"), Denied),
        (errors.ClusterAuthorizationFailedError(), Denied),
        (errors.AuthenticationFailedError(), Denied),
        (errors.UnsupportedSaslMechanismError(), Denied),
        (errors.NoOffsetForPartitionError(), NoOffset),
        (errors.OffsetOutOfRangeError({}), NoOffset),
        (errors.UnknownTopicOrPartitionError(), TopicMissing),
        (errors.OutOfOrderSequenceNumber(), ProducerLost),
        (errors.ProducerFenced(), ProducerLost),
        (errors.ProducerClosed(), ProducerLost),
        (errors.KafkaConnectionError(), Unreachable),
        (errors.NotLeaderForPartitionError(), Unreachable),
        (TimeoutError(), Unreachable),
    ],
    ids=lambda case: case.__name__ if isinstance(case, type) else type(case).__name__,
)
def test_what_an_error_of_aiokafkas_means(error: Exception, fault: type[KafkaFault]) -> None:
    assert type(read_fault(error)) is fault


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.KafkaTimeoutError(), "KafkaTimeoutError"),
        (errors.KafkaTimeoutError("no answer"), "KafkaTimeoutError: no answer"),
        (
            errors.TopicAuthorizationFailedError("posts"),
            "[Error 29] TopicAuthorizationFailedError: posts",
        ),
        (TimeoutError(), "TimeoutError"),
        (OSError("no route"), "OSError: no route"),
    ],
)
def test_an_errors_name_is_told_once(error: Exception, told: str) -> None:
    assert str(read_fault(error)) == told


def test_what_a_producer_can_not_go_on_after_needs_a_new_one() -> None:
    producer = AiokafkaProducer(OPTIONS)
    assert type(producer.fault(errors.UnknownError())) is ProducerLost
    assert type(producer.fault(errors.KafkaTimeoutError())) is Unreachable
    assert type(producer.fault(errors.NotEnoughReplicasError())) is Unreachable
    assert type(producer.fault(ValueError("a text"))) is RecordRefused


class Unsure:
    """aiokafka's producer when it got no metadata of a topic within its request timeout."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def send(self, *_: Any, **__: Any) -> None:
        raise errors.UnknownTopicOrPartitionError


class Answering:
    """A client whose broker says that these topics exist; that there is none, without any."""

    def __init__(self, *topics: str, node: int | None = 1) -> None:
        self._topics = topics
        self._node = node

    def get_random_node(self) -> int | None:
        return self._node

    async def send(self, *_: Any) -> Any:
        known: list[Any] = [(0, topic, bytes(16), False, [], 0, {}) for topic in self._topics]
        return SimpleNamespace(topics=known, cluster_id="a-cluster")


@pytest.mark.parametrize(
    ("client", "fault"),
    [
        (Answering("events", node=None), Unreachable),
        (Answering("events"), Unreachable),
        (Answering(), TopicMissing),
    ],
    ids=["no broker", "a broker that was away", "a broker that doesn't know the topic"],
)
async def test_a_topic_is_missing_when_a_broker_says_so_and_not_when_none_answers(
    client: Answering, fault: type[KafkaFault]
) -> None:
    producer = AiokafkaProducer(OPTIONS)
    producer._producer = Unsure(client)
    with pytest.raises(errors.KafkaError) as raised:
        await producer.send("events", key=b"key", value=b"value", headers=())
    assert type(producer.fault(raised.value)) is fault


async def test_what_was_aborted_is_not_read_and_an_open_transaction_is_no_lag(
    bootstrap: str,
) -> None:
    from infra.kafka import TopicSpec, create_topics  # noqa: PLC0415
    from tests.runtime.kafka.clusters import Member  # noqa: PLC0415

    topic = "transactions-contract"
    await create_topics({"bootstrap_servers": bootstrap}, [TopicSpec(name=topic, partitions=1)])
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="contract")
    await producer.start()
    member = Member(
        AiokafkaConsumer(KafkaOptions(bootstrap=bootstrap, group_id=topic, input_topics=(topic,)))
    )
    try:
        async with producer.transaction():
            await producer.send_and_wait(topic, b"committed")
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted")
        await producer.abort_transaction()
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"open")
        await member.join()
        partition = Partition(topic, 0)
        await member.look_until(
            lambda: (
                bool(member.got)
                and member.consumer.position(partition) == member.consumer.high_water(partition)
            )
        )
        assert member.values() == [b"committed"]
        # Asked of the brokers, too: what shows as lag while paused, and wakes the watchdog.
        ends = await member.consumer.end_offsets([partition], timeout_s=10)
        assert ends[partition] == member.consumer.position(partition)
        await producer.abort_transaction()
    finally:
        await member.consumer.stop()
        await producer.stop()
