"""Dead letters: the classes of poison, what each means, and how a record becomes one."""

import inspect
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from consumer.records import Record
from schemas import DeadLetter


class Stage(StrEnum):
    """Where on its way a record was refused."""

    DECODE = "decode"
    PLAN = "plan"
    INFER = "infer"
    READ = "read"
    PUBLISH = "publish"


class Reason(StrEnum):
    """Why a record can't become an event: the dead letter's `class.name`, a metric's label."""

    TOO_LARGE = "TooLarge"
    """The value, or the event made of it, is over the configured number of bytes."""
    NOT_UTF8 = "NotUtf8"
    """Bytes that are no UTF-8, where text is needed."""
    NOT_JSON = "NotJson"
    """The value is not JSON; gzip and Avro are named, a registry's framing where none is read."""
    UNKNOWN_SCHEMA = "UnknownSchema"
    """The registry has no schema of the id that the value names, or one that can't be read."""
    NOT_ITS_SCHEMA = "NotItsSchema"
    """The value isn't what the Avro schema that it names says."""
    TOO_DEEP = "TooDeep"
    """JSON nested so deep that reading or writing it would overflow the stack."""
    MISSING_FIELD = "MissingField"
    """The id or the text is absent, null or (the id) empty."""
    WRONG_TYPE = "WrongType"
    """It is no object, its text no text, its id neither text nor number; a number out of range."""
    EMPTY_TEXT = "EmptyText"
    """The text holds nothing visible."""
    REFUSED = "Refused"
    """The model server's validation refused every prompt of this post."""
    FAILED_ALONE = "FailedAlone"
    """The model server failed on this post's prompts again and again, though asked alone."""
    UNANSWERED = "Unanswered"
    """No answer to any question about this post could be read."""
    REFUSED_BY_BROKER = "RefusedByBroker"
    """The brokers won't take the event on its topic: its policy, or the record's time."""
    UNENCODABLE = "Unencodable"
    """The event can't be written as JSON, or doesn't fit the registered schema."""
    BUG = "Bug"
    """The analysis raised an unforeseen error twice, the second time for this record alone."""


KNOWN: Final = (
    *(
        (Stage.DECODE, reason)
        for reason in (
            *(Reason.TOO_LARGE, Reason.NOT_UTF8, Reason.NOT_JSON, Reason.TOO_DEEP),
            *(Reason.MISSING_FIELD, Reason.WRONG_TYPE, Reason.EMPTY_TEXT),
            *(Reason.UNKNOWN_SCHEMA, Reason.NOT_ITS_SCHEMA),
        )
    ),
    *((Stage.INFER, reason) for reason in (Reason.REFUSED, Reason.FAILED_ALONE, Reason.BUG)),
    (Stage.READ, Reason.UNANSWERED),
    *(
        (Stage.PUBLISH, reason)
        for reason in (
            *(Reason.TOO_LARGE, Reason.TOO_DEEP),
            *(Reason.REFUSED_BY_BROKER, Reason.UNENCODABLE),
        )
    ),
)
"""Each stage with each class that it gives: a metric's labels, known before the first of them."""


def make_dead_letter(
    record: Record,
    stage: Stage,
    class_name: str,
    message: str,
    *,
    attempts: int = 1,
    model: str | None = None,
) -> DeadLetter:
    """Make the dead letter of a record: its own bytes, and the reason.

    `message` must not hold any of the post's text: it goes into headers and logs.
    """
    return DeadLetter(
        key=record.key,
        value=record.value,
        headers=record.headers,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        stage=stage.value,
        class_name=str(class_name),
        message=message,
        attempts=attempts,
        model=model,
        first_seen=datetime.fromtimestamp(record.received_at, UTC),
        timestamp_ms=record.timestamp_ms if record.timestamp_ms >= 0 else None,
    )


def counts_for_fuse(outcome: DeadLetter) -> bool:
    """Whether it hints at a bad deploy: it could not be decoded, or the analysis has a bug.

    A post without text, and one that the model refused or didn't answer, is the post's or the
    model's affair: any number of them in a row is no reason to stop.
    """
    if outcome.stage == Stage.DECODE:
        return outcome.class_name != Reason.EMPTY_TEXT
    return outcome.class_name == Reason.BUG


def to_markdown() -> str:
    """The table of classes in docs/delivery.md: each with the line of meaning below it."""
    source = inspect.getsource(Reason)
    meanings = re.findall(r'= "(\w+)"\n    """(.+?)"""', source, re.DOTALL)
    rows = [f"| `{name}` | {' '.join(meaning.split())} |" for name, meaning in meanings]
    return "\n".join(["| class | meaning |", "|---|---|", *rows]) + "\n"
