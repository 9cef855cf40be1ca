"""Failures that nobody waits for any more: asyncio would log each as never retrieved.

aiokafka 0.14 leaves such futures of its own behind when a producer is fenced or stopped with sends
under way, and when a commit is given up that the brokers answer later. The failure itself is told
by the sends' futures, which are waited for; that a commit is given up, its caller tells.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.transaction_manager import TransactionManager


def abandon(futures: "Iterable[asyncio.Future[Any]]") -> None:
    """Nobody will wait for these: whatever they fail with, now or later, is no news."""
    for future in futures:
        if future.done():
            _look(future)
        else:
            future.add_done_callback(_look)


def install() -> None:
    """Have aiokafka's own futures looked at when they fail; once is enough, more does nothing."""
    if MessageBatch.failure.__name__ == "failure":
        MessageBatch.failure = _then_look(MessageBatch.failure, _of_batch)
        for name in ("error_transaction", "fatal_error"):
            original = getattr(TransactionManager, name)
            setattr(TransactionManager, name, _then_look(original, _of_transaction))
        commit = GroupCoordinator._do_commit_offsets  # noqa: SLF001 - no other way
        GroupCoordinator._do_commit_offsets = _as_abandoned(commit)  # noqa: SLF001 - likewise


def _as_abandoned(
    original: Callable[..., Coroutine[Any, Any, Any]],
) -> "Callable[..., asyncio.Future[Any]]":
    def started(*args: Any) -> "asyncio.Future[Any]":
        task = asyncio.ensure_future(original(*args))
        abandon((task,))
        return task

    return started


def _then_look(
    original: Callable[..., None], futures_of: "Callable[[Any], list[asyncio.Future[Any]]]"
) -> Callable[..., None]:
    def looked_at(self: Any, *args: Any, **kwargs: Any) -> None:
        before = futures_of(self)
        original(self, *args, **kwargs)
        abandon({*before, *futures_of(self)})

    return looked_at


def _of_batch(batch: Any) -> "list[asyncio.Future[Any]]":
    return [batch._drain_waiter]  # noqa: SLF001 - aiokafka gives it to nobody


def _of_transaction(manager: Any) -> "list[asyncio.Future[Any]]":
    offsets = [future for _, _, future in manager._pending_txn_offsets]  # noqa: SLF001 - as above
    if manager._transaction_waiter is None:  # noqa: SLF001 - as above
        # Of a producer without transactions: aiokafka trips over it instead of failing its sends.
        manager._transaction_waiter = asyncio.get_running_loop().create_future()  # noqa: SLF001
    return [*offsets, manager._transaction_waiter]  # noqa: SLF001 - as above


def _look(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()
