"""A failure that nobody waits for is no line in the log."""

import asyncio
import gc
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerClosed, ProducerFenced
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.transaction_manager import TransactionManager

from runtime.kafka import unread


@pytest.fixture(autouse=True)
def installed() -> None:
    unread.install()


async def test_abandoned_futures_may_fail_before_and_after(complaints: list[Any]) -> None:
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(3)]
    futures[0].set_exception(ProducerFenced())
    unread.abandon(futures)
    futures[1].set_exception(ProducerFenced())
    futures[2].cancel()
    await asyncio.sleep(0)
    del futures
    gc.collect()
    assert complaints == []


async def test_a_stopped_producer_with_sends_in_its_buffer_says_so_to_the_sends_alone(
    complaints: list[Any],
) -> None:
    class Cluster:
        def leader_for_partition(self, _: TopicPartition) -> None:
            return None

    accumulator = MessageAccumulator(Cluster(), 16_384, 0, 30)
    sent = await accumulator.add_message(TopicPartition("t", 0), None, b"event", 10)
    accumulator.fail_all(ProducerClosed())
    with pytest.raises(ProducerClosed):
        await sent
    del accumulator, sent
    gc.collect()
    assert complaints == []


async def test_a_failed_sender_without_transactions_is_no_error_of_its_own(
    complaints: list[Any],
) -> None:
    manager = TransactionManager(None, 60_000)
    manager.set_pid_and_epoch(1, 1)
    manager.fatal_error(ProducerFenced())
    del manager
    gc.collect()
    assert complaints == []


@pytest.mark.parametrize("how", ["error_transaction", "fatal_error"])
async def test_a_fenced_transaction_is_told_by_its_sends_alone(
    how: str, complaints: list[Any]
) -> None:
    manager = TransactionManager("id", 60_000)
    manager.set_pid_and_epoch(1, 1)
    manager.begin_transaction()
    manager.add_offsets_to_txn({}, "group")
    getattr(manager, how)(ProducerFenced())
    del manager
    gc.collect()
    assert complaints == []
