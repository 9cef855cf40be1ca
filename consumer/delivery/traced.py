"""Outcomes on their way to their topics, as traces see them."""

from collections.abc import Iterable, Sequence
from contextvars import Context, copy_context

import msgspec

from consumer.records import Emit, Outcome, Record, Skip
from consumer.tracing import BatchTrace, SendTrace, current_batch
from schemas import DeadLetter
from schemas.headers import TRACE_CONTEXT, EventHeaders, with_trace_context


def context_of(batch: BatchTrace) -> Context:
    """Give the context for a task that works on this batch."""
    context = copy_context()
    context.run(current_batch.set, batch)
    return context


class TracedSends:
    """What is published together: spans by batch and topic, and each outcome's trace context."""

    def __init__(self, items: Iterable[tuple[BatchTrace, Record, Outcome]]) -> None:
        items = tuple(items)
        groups: dict[tuple[int, bool], tuple[BatchTrace, list[Record]]] = {}
        for batch, record, outcome in items:
            if isinstance(outcome, Skip):
                batch.skipped(1)
                continue
            if batch.unrecorded is not None:
                continue
            key = id(batch), isinstance(outcome, DeadLetter)
            groups.setdefault(key, (batch, []))[1].append(record)
        sends: dict[tuple[int, bool], SendTrace] = {
            key: batch.send(records, dead_letters=key[1])
            for key, (batch, records) in groups.items()
        }
        self._sends: Sequence[SendTrace] = tuple(sends.values())
        self.outcomes: list[Outcome] = []
        """What is to be published, in the items' order."""
        for batch, record, outcome in items:
            if isinstance(outcome, Skip):
                self.outcomes.append(outcome)
                continue
            trace = batch.unrecorded
            if trace is None:
                trace = sends[id(batch), isinstance(outcome, DeadLetter)].headers(record)
            self.outcomes.append(_carrying(outcome, trace))

    def end(self, error: BaseException | None) -> None:
        """All are acknowledged, or `error` is why not."""
        for send in self._sends:
            send.end(None if error is None else type(error).__name__)


def _carrying(outcome: Emit | DeadLetter, trace: EventHeaders) -> Emit | DeadLetter:
    if isinstance(outcome, Emit):
        own = [header for header in outcome.headers if header[0] not in TRACE_CONTEXT]
        return Emit(key=outcome.key, value=outcome.value, headers=(*own, *trace))
    return msgspec.structs.replace(outcome, headers=with_trace_context(outcome.headers, trace))
