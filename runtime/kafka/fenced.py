"""Writing as the only one: records and offsets in transactions of one id, all of a set or nothing.

Whoever starts with the same id later fences the one before: its open transaction is undone, and
all that it still tries is refused by the brokers, however long it was thought dead.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
)

from runtime.kafka import fast_lz4, unclosed, unread
from runtime.kafka.coordinators import wait_for_brokers
from runtime.kafka.errors import DeliveryStalled, Fenced, ProducerLost, TopicMissing
from runtime.kafka.faults import read_fault
from runtime.kafka.options import KafkaOptions
from runtime.kafka.partitioning import partition_of
from runtime.kafka.producing import Outgoing
from runtime.kafka.stopping import stop_producer
from runtime.kafka.unread import abandon
from runtime.spelling import did_you_mean

_log = structlog.get_logger(__name__)

_START_S = 60.0
"""To take the id over: the brokers first undo what the one before had open."""
_WRITE_S = 120.0
"""For one set; above a broker's restart or a new leader, as the Java client's delivery timeout."""
_TRANSACTION_MS = 60_000
_STOP_S = 3.0
_FENCED = "another one writes under the same transactional id"


class FencedProducer:
    """A transactional producer. One set at a time; `write` isn't to be called twice at once."""

    def __init__(self, options: KafkaOptions, transactional_id: str) -> None:
        """`options.group_id` is the group whose offsets are committed."""
        self._options = options
        self._id = transactional_id
        self._producer: Any = None
        self._fenced = False
        unread.install()
        unclosed.install()
        fast_lz4.install()

    async def start(self) -> None:
        """Take the id over. When this returns, the one before can write nothing more.

        Raises:
            DeliveryStalled: the brokers don't give the id in time.
            KafkaFault: they refuse.
        """
        options = self._options
        self._producer = AIOKafkaProducer(
            bootstrap_servers=options.bootstrap,
            client_id=options.client_id,
            transactional_id=self._id,
            transaction_timeout_ms=_TRANSACTION_MS,
            acks="all",
            partitioner=partition_of,
            compression_type=None if options.compression == "none" else options.compression,
            max_request_size=options.max_request_bytes,
            request_timeout_ms=round(1000 * options.request_timeout_s),
            **options.security,
        )
        wait_for_brokers(self._producer.client)
        try:
            async with asyncio.timeout(_START_S):
                await self._producer.start()
                # An empty transaction: the id is taken when the first one begins.
                await self._producer.begin_transaction()
                await self._producer.abort_transaction()
        except TimeoutError as error:
            raise DeliveryStalled(f"no transactional id for {_START_S:g} s") from error
        except KafkaError as error:
            raise read_fault(error) from error

    async def write(
        self,
        records: Sequence[tuple[Outgoing, int | None]],
        offsets: Mapping[TopicPartition, tuple[int, str]] | None = None,
    ) -> list[int]:
        """Write records (each with its partition, None for the key's) and commit the offsets.

        Each offset has a note, which is kept beside it in the group (Kafka's metadata).

        Returns the records' offsets.

        Raises:
            Fenced: another one has taken the id: nothing of this set was written.
            DeliveryStalled: no acknowledgement in time. Whether the set was written isn't known:
                let go of everything and begin from what the topics say.
            KafkaFault: the same, for another reason.
        """
        if self._fenced:
            raise Fenced(_FENCED)
        producer = self._producer
        futures: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(_WRITE_S):
                await producer.begin_transaction()
                for record, partition in records:
                    sent = await producer.send(
                        record.topic,
                        value=record.value,
                        key=record.key,
                        partition=partition,
                        timestamp_ms=record.timestamp_ms,
                        headers=list(record.headers),
                    )
                    futures.append(sent)
                written = await asyncio.gather(*futures)
                if offsets:
                    await producer.send_offsets_to_transaction(
                        dict(offsets), self._options.group_id
                    )
                await producer.commit_transaction()
        except TimeoutError as error:
            raise DeliveryStalled(f"no acknowledgement for {_WRITE_S:g} s") from error
        except (ProducerFenced, InvalidProducerEpoch, OutOfOrderSequenceNumber) as error:
            self._fenced = True
            raise Fenced(_FENCED) from error
        except KafkaError as error:
            raise read_fault(error, otherwise=ProducerLost) from error
        finally:
            abandon(futures)
        return [one.offset for one in written]

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has.

        Raises:
            TopicMissing: there is no such topic. It isn't waited for, and none is made.
            KafkaFault: the brokers don't answer.
        """
        try:
            async with asyncio.timeout(_START_S):
                # `partitions_for` asks again until its time is up.
                cluster = await self._producer.client.fetch_all_metadata()
        except TimeoutError as error:
            raise DeliveryStalled(f"no answer for {_START_S:g} s") from error
        except KafkaError as error:
            raise read_fault(error) from error
        partitions = cluster.partitions_for_topic(topic)
        if not partitions:
            raise TopicMissing(f"there is no topic {topic}{did_you_mean(topic, cluster.topics())}")
        return len(partitions)

    async def stop(self) -> None:
        """Disconnect; what isn't committed is undone by the brokers."""
        if self._producer is None:
            return
        producer, self._producer = self._producer, None
        await stop_producer(producer, within_s=_STOP_S)
