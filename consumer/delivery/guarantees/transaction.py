"""One transaction: its events and dead letters, and the offset behind them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from consumer.delivery.guarantees.handed_over import Pending
from consumer.delivery.guarantees.sending import OutcomeSender
from consumer.records import Skip
from runtime.clock import Clock, wait_all
from runtime.errors import AccessDenied, ServiceError
from runtime.kafka.errors import Denied, KafkaFault, Unreachable
from runtime.kafka.protocol import OffsetAndMetadata, Partition, TransactionalProducer
from runtime.kafka.unread import abandon


class Work(msgspec.Struct, frozen=True):
    """What one transaction holds."""

    epoch: int
    items: tuple[Pending, ...]
    """Without any, it only moves the offset past markers."""
    at: OffsetAndMetadata

    def up_to(self, count: int) -> "Work":
        """The first ones of it only."""
        return Work(self.epoch, self.items[:count], after(self.items[:count], self.at.metadata))


class Failed(msgspec.Struct, frozen=True):
    """One try that came to nothing."""

    fault: KafkaFault
    refused: tuple[tuple[int, KafkaFault], ...] = ()
    """Items whose sends failed, by their place."""


async def transact(
    producer: TransactionalProducer,
    work: Work,
    *,
    partition: Partition,
    group_id: str,
    sender: OutcomeSender,
    confirm: Callable[[], Awaitable[None]],
    clock: Clock,
    within_s: float,
) -> Failed | None:
    """Begin, send, and commit; None: it is committed.

    `confirm` is awaited between the last acknowledgement and the offset, and may raise.
    What fails is neither undone nor tried again here, and where it was the commit that failed, it
    may have come about nevertheless.
    """
    sent: list[tuple[int, asyncio.Future[Any]]] = []
    refused: list[tuple[int, KafkaFault]] = []
    try:
        await producer.begin()
        for place, (_, outcome, _) in enumerate(work.items):
            if isinstance(outcome, Skip):
                continue
            try:
                sent.append((place, await sender.send(producer, outcome)))
            except Exception as error:  # noqa: BLE001 - `fault` reads whatever it is
                refused.append((place, producer.fault(error)))
                break
        await wait_all(clock, [future for _, future in sent], within_s)
        for place, future in sent:
            if (cause := _error_of(future)) is not None:
                refused.append((place, producer.fault(cause)))
        if refused:
            return Failed(refused[0][1], tuple(refused))
        await confirm()
        await producer.send_offsets({partition: work.at}, group_id)
        await producer.commit()
    except KafkaFault as fault:
        return Failed(fault)
    except ServiceError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        return Failed(producer.fault(error))
    finally:
        abandon(future for _, future in sent)
    return None


def without_refused(
    work: Work, failed: Failed, sender: OutcomeSender
) -> tuple[Work, ServiceError | None]:
    """What to try next: dead letters for events that are refused, up to what ends the service.

    Gives that end, too, for when the rest is committed. Nothing may be left to commit.

    Raises:
        AccessDenied: it isn't a record that is refused, but transactions.
    """
    if not failed.refused and isinstance(failed.fault, Denied):
        raise AccessDenied(
            f"the brokers refuse a transaction: {failed.fault}; grant READ on the group, WRITE on "
            "the transactional ids, or correct the credentials"
        )
    items = list(work.items)
    end: ServiceError | None = None
    cut = len(items)
    for place, fault in failed.refused:
        record, outcome, handed_over = items[place]
        assert not isinstance(outcome, Skip)
        match sender.failed(record, outcome, fault):
            case ServiceError() as error:
                if place < cut:
                    cut, end = place, error
            case None:
                pass
            case dead_letter:
                items[place] = Pending(record, dead_letter, handed_over)
    changed = Work(work.epoch, tuple(items), work.at)
    if cut == len(items):
        return changed, end
    return changed.up_to(cut) if cut else Work(work.epoch, (), work.at), end


def after(items: Sequence[Pending], metadata: str) -> OffsetAndMetadata:
    """The offset that settles these."""
    # Not a count: compaction and transaction markers leave gaps.
    return OffsetAndMetadata(items[-1].record.offset + 1, metadata)


def _error_of(future: asyncio.Future[Any]) -> BaseException | None:
    """What a send failed with; a producer that was stopped cancels its sends."""
    if not future.done():
        return Unreachable("no answer in time")
    if future.cancelled():
        return Unreachable("the producer was stopped")
    return future.exception()
