"""Kafka through aiokafka: its traps are kept in here (`docs/decisions/`, aiokafka 0.14)."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, errors
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.client import ConnectionGroup
from aiokafka.conn import CloseReason
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from runtime.kafka import fast_lz4, offset_fetches, record_batches, unclosed, unread
from runtime.kafka.access import cluster_id, refusal
from runtime.kafka.aiokafka_transactions import AiokafkaTransactions
from runtime.kafka.coordinators import wait_for_brokers
from runtime.kafka.diagnosis import diagnose
from runtime.kafka.errors import (
    Denied,
    Fenced,
    KafkaFault,
    ProducerLost,
    RecordRefused,
    Unreachable,
)
from runtime.kafka.faults import read_fault
from runtime.kafka.first_offsets import FirstOffsets
from runtime.kafka.group_rights import group_operations
from runtime.kafka.options import FETCH_WAIT_S, KafkaOptions, whole_names
from runtime.kafka.partition_fetches import PartitionFetches
from runtime.kafka.partitioning import partition_of
from runtime.kafka.protocol import (
    BadBatch,
    ConsumedRecord,
    Headers,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    Partition,
    TopicFacts,
    TransactionalProducer,
)
from runtime.kafka.protocol import RebalanceListener as OurListener
from runtime.kafka.stopping import cut_off_producer, stop_consumer
from runtime.kafka.topic_facts import is_compacted, topic_facts
from runtime.telemetry import log_events

_log = structlog.get_logger("consumer")

_STOP_S = 10.0
"""For leaving the group and disconnecting; a broker that doesn't answer isn't waited for longer."""
_LAST_WORDS_S = 1.0
"""For a producer to disconnect whose sends were just ended: nothing is left to wait for."""
_PRODUCER_REQUEST_BYTES = 2**31 - 1
"""Kafka's own bound on a record. Ours on events is the publisher's; a dead letter may be as large
as its topic takes, which counts bytes as they are compressed: a value of 150 MB came in as 0.15."""
_PRODUCER_BATCH_BYTES = 65_536
"""Far below any topic's max.message.bytes: what is refused as too large is one record's fault."""
_FETCH_BYTES = 8_388_608
"""Of one fetch from one broker, over all its partitions: bounds what is prefetched."""
_PARTITION_FETCH_BYTES = 1_048_576
_LINGER_MS = 0
"""A batch is sent at once, and while a request is under way the next ones share theirs: more adds
its milliseconds to every event at low rates, and saves no measurable CPU at high ones."""
_RETRY_BACKOFF_MS = 100


async def _show_token(options: KafkaOptions) -> None:
    """Refuse to start with a token that the brokers refuse: aiokafka would wait without end."""
    if options.security.get("sasl_mechanism") != "OAUTHBEARER":
        return
    why = await refusal(options.bootstrap, options.security)
    if why is not None:
        raise read_fault(why) from why


async def _kept_out(options: KafkaOptions, error: errors.KafkaError) -> KafkaFault:
    """Why a client can't start: of all that bootstrapping may meet aiokafka tells nothing."""
    if isinstance(error, errors.KafkaConnectionError):
        found = await diagnose(options.bootstrap, options.security)
        if found is not None:
            return Denied(found.words) if found.credentials else Unreachable(found.words)
        why = await refusal(options.bootstrap, options.security)
        if why is not None:
            return read_fault(why)
    return read_fault(error)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands aiokafka's calls on; what it raises, aiokafka logs and forgets."""

    def __init__(
        self,
        listener: OurListener,
        *,
        fetches: PartitionFetches,
        first: FirstOffsets | None,
        revoking: set[Partition],
    ) -> None:
        self._listener = listener
        self._fetches = fetches
        self._first = first
        self._revoking = revoking

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        partitions = frozenset(Partition(*one) for one in revoked)
        self._revoking.update(partitions)
        try:
            await self._listener.on_revoked(partitions)
        finally:
            self._revoking.clear()

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        self._fetches.assigned()
        if self._first is not None:
            self._first.assigned()
        await self._listener.on_assigned(frozenset(Partition(*one) for one in assigned))


class AiokafkaConsumer:
    """A group member through aiokafka."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._consumer: Any = None
        self._fetches: PartitionFetches
        self._first: FirstOffsets | None = None
        self._revoking: set[Partition] = set()
        """What is being given back: aiokafka forgets it at once when a pattern takes other topics
        than before, and its listener is yet to be told."""

    async def start(self) -> None:
        """Connect; the group is joined by `subscribe`."""
        options = self._options
        await _show_token(options)
        try:
            self._consumer = AIOKafkaConsumer(
                bootstrap_servers=options.bootstrap,
                client_id=options.client_id,
                group_id=options.group_id,
                group_instance_id=options.group_instance_id,
                auto_offset_reset=options.auto_offset_reset,
                # What was aborted isn't read; nothing beyond an open transaction is ever delivered.
                isolation_level="read_committed",
                # Its auto-commit commits what was handed out, done or not.
                enable_auto_commit=False,
                session_timeout_ms=_ms(options.session_timeout_s),
                heartbeat_interval_ms=_ms(options.heartbeat_interval_s),
                # Its default is the session timeout: a longer drain would lose its commit.
                rebalance_timeout_ms=_ms(options.rebalance_timeout_s),
                max_poll_interval_ms=_ms(options.max_poll_interval_s),
                request_timeout_ms=_ms(options.request_timeout_s),
                metadata_max_age_ms=_ms(options.metadata_max_age_s),
                retry_backoff_ms=_RETRY_BACKOFF_MS,
                fetch_max_wait_ms=_ms(FETCH_WAIT_S),
                fetch_max_bytes=_FETCH_BYTES,
                max_partition_fetch_bytes=_PARTITION_FETCH_BYTES,
                partition_assignment_strategy=(RoundRobinPartitionAssignor,),
                **options.security,
            )
            wait_for_brokers(self._consumer._client)  # noqa: SLF001 - no public way
            self._fetches = PartitionFetches(self._consumer)
            await self._consumer.start()
            if options.auto_offset_reset != "none":
                self._first = FirstOffsets(self._consumer, options.auto_offset_reset)
        except errors.KafkaError as error:
            await self.stop()
            raise await _kept_out(options, error) from error

    async def topics(self) -> set[str]:
        """Names of the topics that exist and may be seen."""
        try:
            # Metadata of all topics: asking for one by name may create it.
            return set(await self._consumer.topics())
        except errors.KafkaError as error:
            raise read_fault(error) from error

    async def topic_facts(
        self, topics: Iterable[str], *, timeout_s: float
    ) -> dict[str, TopicFacts]:
        """What the brokers say of those topics that exist."""
        if self._consumer is None:
            raise Unreachable("not connected yet")
        client = self._consumer._client  # noqa: SLF001 - aiokafka doesn't know topics' ids
        facts: dict[str, TopicFacts] = await _within(timeout_s, topic_facts(client, topics))
        return facts

    async def compacted(self, topic: str, *, timeout_s: float) -> bool:
        """Whether a topic keeps the last record of each key only."""
        client = self._consumer._client  # noqa: SLF001 - the admin client would be a second one
        return bool(await _within(timeout_s, is_compacted(client, topic)))

    async def group_operations(self, *, timeout_s: float) -> frozenset[str]:
        """What this user may do with the group."""
        client, group = self._consumer._client, self._options.group_id  # noqa: SLF001 - as above
        operations: frozenset[str] = await _within(timeout_s, group_operations(client, group))
        return operations

    def subscribe(self, listener: OurListener) -> None:
        """Join the group for the configured topics or pattern."""
        options = self._options
        ours = _Listener(
            listener, fetches=self._fetches, first=self._first, revoking=self._revoking
        )
        if options.input_pattern is None:
            self._consumer.subscribe(list(options.input_topics), listener=ours)
        else:
            pattern = whole_names(options.input_pattern).pattern
            self._consumer.subscribe(pattern=pattern, listener=ours)

    async def getmany(
        self,
        *,
        timeout_s: float,
        max_records: int,
        room: Callable[[Partition], int] | None = None,
    ) -> Mapping[Partition, Sequence[ConsumedRecord]]:
        """Wait up to `timeout_s` for records."""
        try:
            return await self._fetches.take(timeout_s=timeout_s, max_records=max_records, room=room)
        except (errors.KafkaError, errors.ConsumerStoppedError) as error:
            raise read_fault(error) from error

    @property
    def bad_batches(self) -> Mapping[Partition, BadBatch]:
        """Partitions that stopped at a batch which can't be read; none before the start."""
        return self._fetches.bad_batches if self._consumer is not None else {}

    def taken_away(self) -> Mapping[Partition, int]:
        """Offsets that the log's start has passed before they were read."""
        return self._fetches.taken_away() if self._consumer is not None else {}

    def assignment(self) -> frozenset[Partition]:
        """The partitions assigned now; none before the start."""
        if self._consumer is None:
            return frozenset()
        return frozenset(Partition(*one) for one in self._consumer.assignment() or self._revoking)

    def pause(self) -> None:
        """Deliver nothing of what is assigned now."""
        self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        """Deliver again."""
        self._consumer.resume(*self._consumer.assignment())

    async def commit(self, offsets: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Commit explicit offsets."""
        coordinator = self._consumer._coordinator  # noqa: SLF001 - see below
        if coordinator.generation < 0:
            # Kicked out of the group: aiokafka would send generation -1, which brokers take for a
            # commit from outside the group, and accept while the group is empty.
            raise Fenced("this member was removed from its group")
        try:
            if self._consumer.assignment() or not offsets.keys() <= self._revoking:
                await self._consumer.commit(
                    {TopicPartition(*partition): tuple(at) for partition, at in offsets.items()}
                )
            else:
                # Given back, and the group knows it as ours until this member joins again.
                await coordinator.commit_offsets(
                    None, {TopicPartition(*partition): at for partition, at in offsets.items()}
                )
        except asyncio.CancelledError:
            self._forget_coordinator()
            raise
        except errors.KafkaError as error:
            raise read_fault(error) from error

    def _forget_coordinator(self) -> None:
        """Close the connection on which a commit got no answer: the next one goes on a new one.

        aiokafka would hold on to it for `request_timeout_s`, and every commit would hang so long
        when a connection is dead that nobody has closed. Membership survives: the next heartbeat
        finds the coordinator again.
        """
        coordinator, client = self._consumer._coordinator, self._consumer._client  # noqa: SLF001
        place = (coordinator.coordinator_id, ConnectionGroup.COORDINATION)
        connection = client._conns.pop(place, None)  # noqa: SLF001 - nobody else closes it
        if connection is not None:
            connection.close(reason=CloseReason.CONNECTION_TIMEOUT)
        coordinator.coordinator_dead()

    def position(self, partition: Partition) -> int | None:
        """Offset after everything delivered; aiokafka's own `position` may wait without end."""
        return self._fetches.position(partition)

    def seek(self, partition: Partition, offset: int) -> None:
        """Read this one from an offset on."""
        self._fetches.seek(partition, offset)

    def seek_to_beginning(self, partitions: Iterable[Partition]) -> None:
        """Read these from the start of their logs."""
        self._fetches.seek_to_beginning(partitions)

    def high_water(self, partition: Partition) -> int | None:
        """Where the log ended at the last fetch."""
        state = self._fetches.state(partition)
        if state is None:
            return None
        # Nothing beyond the last stable offset is ever delivered.
        end: int | None = state.lso
        return end if end is not None and end >= 0 else None

    async def end_offsets(
        self, partitions: Iterable[Partition], *, timeout_s: float
    ) -> dict[Partition, int]:
        """Ask the brokers where these logs end now."""
        asked = [TopicPartition(*partition) for partition in partitions]
        found: dict[Any, int] = await _within(timeout_s, self._consumer.end_offsets(asked))
        return {Partition(*one): offset for one, offset in found.items()}

    async def beginning_offsets(
        self, partitions: Iterable[Partition], *, timeout_s: float
    ) -> dict[Partition, int]:
        """Ask the brokers where these logs begin now."""
        asked = [TopicPartition(*partition) for partition in partitions]
        found: dict[Any, int] = await _within(timeout_s, self._consumer.beginning_offsets(asked))
        return {Partition(*one): offset for one, offset in found.items()}

    async def committed(
        self, partitions: Iterable[Partition], *, timeout_s: float
    ) -> dict[Partition, OffsetAndMetadata]:
        """The group's committed offsets."""
        asked = [TopicPartition(*partition) for partition in partitions]
        coordinator = self._consumer._coordinator  # noqa: SLF001 - public is one by one
        found = await _within(timeout_s, coordinator.fetch_committed_offsets(asked))
        return {
            Partition(*one): OffsetAndMetadata(at.offset, at.metadata or "")
            for one, at in found.items()
            if at.offset >= 0
        }

    async def stop(self, *, timeout_s: float = _STOP_S) -> None:
        """Leave the group and disconnect."""
        if self._consumer is None:
            return
        if not await stop_consumer(self._consumer, within_s=timeout_s):
            # The session timeout tells the group what we couldn't.
            _log.warning(
                log_events.GROUP_LEAVE_FAILED, session_timeout_s=self._options.session_timeout_s
            )


class AiokafkaProducer:
    """An idempotent producer through aiokafka."""

    def __init__(self, options: KafkaOptions, **more: Any) -> None:
        """`more` are aiokafka's keyword arguments beside the ones that every producer has."""
        self._options = options
        self._more = more
        self._producer: Any = None

    async def start(self) -> None:
        """Connect, and get a producer id."""
        options = self._options
        await _show_token(options)
        try:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=options.bootstrap,
                client_id=options.client_id,
                enable_idempotence=True,
                acks="all",
                compression_type=None if options.compression == "none" else options.compression,
                linger_ms=_LINGER_MS,
                partitioner=partition_of,
                max_batch_size=_PRODUCER_BATCH_BYTES,
                max_request_size=_PRODUCER_REQUEST_BYTES,
                request_timeout_ms=_ms(options.request_timeout_s),
                metadata_max_age_ms=_ms(options.metadata_max_age_s),
                retry_backoff_ms=_RETRY_BACKOFF_MS,
                **self._more,
                **options.security,
            )
            wait_for_brokers(self._producer.client)
            await self._producer.start()
        except errors.KafkaError as error:
            await self.stop(timeout_s=1.0)
            raise await _kept_out(options, error) from error

    @property
    def client(self) -> Any:
        """The producer of aiokafka itself, for `AiokafkaTransactions`; None before the start."""
        return self._producer

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        """Hand over one record."""
        try:
            if key is None and value is None:
                return await self._send_nothing(topic, headers)
            # aiokafka's record builder takes no tuple of headers.
            future: asyncio.Future[Any] = await self._producer.send(
                topic, value, key, headers=list(headers)
            )
        except errors.UnknownTopicOrPartitionError as error:
            # aiokafka says so, too, of a topic that it hasn't sent to yet when no broker has
            # answered for `request_timeout_s`.
            if topic in await topic_facts(self._producer.client, [topic]):
                raise errors.KafkaTimeoutError("no broker told in time of the topic") from error
            raise
        return future

    async def _send_nothing(self, topic: str, headers: Headers) -> asyncio.Future[Any]:
        """Send a record without key and value: Kafka takes it, aiokafka's `send` asserts."""
        partitions = sorted(await self._producer.partitions_for(topic))
        batch = self._producer.create_batch()
        batch.append(key=None, value=None, timestamp=None, headers=list(headers))
        future: asyncio.Future[Any] = await self._producer.send_batch(
            batch,
            topic,
            partition=random.choice(partitions),  # noqa: S311 - spreads, hides nothing
        )
        return future

    def fault(self, error: BaseException) -> KafkaFault:
        """What an error of `send` or of its future means."""
        if isinstance(error, TypeError | ValueError | AssertionError | UnicodeError):
            # The record can't even be encoded: not a producer's trouble.
            return RecordRefused(type(error).__name__)
        retriable = getattr(error, "retriable", False) or isinstance(
            error, errors.KafkaTimeoutError
        )
        return read_fault(error, otherwise=Unreachable if retriable else ProducerLost)

    async def stop(self, *, timeout_s: float) -> None:
        """Send what is buffered for a while, then disconnect."""
        producer = self._producer
        if producer is None:
            return
        stopping = asyncio.ensure_future(producer.stop())
        try:
            done, _ = await asyncio.wait((stopping,), timeout=timeout_s)
            if not done:
                # Idempotent sends never expire: end them, so that `stop` and whoever waits for
                # them go on.
                producer._message_accumulator.fail_all(errors.ProducerClosed())  # noqa: SLF001
                await asyncio.wait((stopping,), timeout=_LAST_WORDS_S)
            elif not stopping.cancelled() and (error := stopping.exception()) is not None:
                _log.warning(log_events.PRODUCER_STOP_FAILED, error=type(error).__name__)
        finally:
            if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
                stopping.cancel()
                cut_off_producer(producer)


class AiokafkaBrokers:
    """Makes aiokafka clients of one cluster."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        record_batches.install()
        unread.install()
        offset_fetches.install()
        unclosed.install()
        fast_lz4.install()
        # Below INFO aiokafka logs keys and values, which hold what people wrote.
        logger = logging.getLogger("aiokafka")
        if logger.getEffectiveLevel() < logging.INFO:
            logger.setLevel(logging.INFO)

    def consumer(self) -> KafkaConsumer:
        """Make a group member, not started."""
        return AiokafkaConsumer(self._options)

    def producer(self) -> KafkaProducer:
        """Make a producer, not started."""
        return AiokafkaProducer(self._options)

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        """Make a producer for transactions, not started."""
        timeout_ms = _ms(self._options.transaction_timeout_s)
        return AiokafkaTransactions(
            AiokafkaProducer(
                self._options, transactional_id=transactional_id, transaction_timeout_ms=timeout_ms
            )
        )

    async def cluster_id(self) -> str:
        """Ask the brokers, one after the other."""
        try:
            return await cluster_id(self._options.bootstrap, self._options.security)
        except (OSError, errors.KafkaError) as error:
            raise read_fault(error) from error


async def _within(timeout_s: float, asking: Awaitable[Any]) -> Any:
    """Ask the brokers, for so long.

    Raises:
        KafkaFault: they answer something else, or nothing.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await asking
    except (TimeoutError, errors.KafkaError) as error:
        raise read_fault(error) from error


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
