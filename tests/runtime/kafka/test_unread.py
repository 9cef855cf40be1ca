"""A failure that nobody waits for is no line in the log."""

import asyncio
import gc
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import NotCoordinatorForGroupError, ProducerClosed, ProducerFenced
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.structs import OffsetAndMetadata

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


async def test_a_commit_that_was_given_up_may_fail_later(complaints: list[Any]) -> None:
    """A broker that comes back says that it isn't the group's coordinator yet."""

    class Coordinator(GroupCoordinator):  # type: ignore[misc]
        _retry_backoff_ms = 0

        def __init__(self) -> None:
            self.coordinator_id, self._commit_lock = 1, asyncio.Lock()
            self.sent, self.back, self.answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
            self.group_id, self.generation, self.member_id = "g", 1, "m"
            self._group_instance_id = None

        async def ensure_coordinator_known(self) -> None: ...

        async def _send_req(self, _: object) -> None:
            self.sent.set()
            await self.back.wait()
            self.answered.set()
            raise NotCoordinatorForGroupError

        def __del__(self) -> None: ...

    coordinator = Coordinator()
    at = {TopicPartition("t", 0): OffsetAndMetadata(1, "")}
    commit = asyncio.ensure_future(coordinator.commit_offsets(None, at))
    await coordinator.sent.wait()
    commit.cancel()
    await asyncio.wait((commit,))
    coordinator.back.set()
    await coordinator.answered.wait()
    await asyncio.sleep(0)
    del commit, coordinator
    gc.collect()
    assert complaints == []
