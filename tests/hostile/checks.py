"""What must hold of every outcome, whatever came in and whatever was answered."""

import json
from typing import Any
from uuid import UUID

import msgspec
from jsonschema import Draft202012Validator

from consumer.dead_letters import Reason, Stage
from consumer.records import Emit, Outcome, Record, Skip
from emollm import readers
from emollm.readers import Unreadable
from schemas import AffectEvent, DeadLetter, dead_letter_headers, read_dead_letter
from schemas.generate import affect_event_schema
from schemas.headers import own_headers
from tests.hostile.inputs import Input

CLASSES = frozenset(str(reason) for reason in Reason)
"""The documented ones (docs/delivery.md is written from them)."""
STAGES = frozenset(stage.value for stage in Stage)
_REASONS = frozenset(one.reason for one in vars(readers).values() if isinstance(one, Unreadable))
_REASONS_BEGIN = ("number outside ", "refused by the model server: ")
_LONGEST_MESSAGE = 500
_schema = Draft202012Validator(affect_event_schema())


def check(
    given: Input, record: Record, outcome: Outcome, *, include_text: bool, thorough: bool
) -> str:
    """Hold an outcome to every promise; give `event`, or the class of the dead letter.

    `thorough` also validates by the published JSON Schema, which takes a hundred times as long.
    """
    if isinstance(outcome, DeadLetter):
        is_a_dead_letter(given, record, outcome)
        return outcome.class_name
    if isinstance(outcome, Skip):
        assert record.value is None, "no rule is configured that could skip it"
        return "skipped"
    _is_an_event(given, record, outcome, include_text=include_text)
    if thorough:
        _schema.validate(json.loads(outcome.value))
    return "event"


def is_a_dead_letter(given: Input, record: Record, dead_letter: DeadLetter) -> None:
    """A dead letter says why in documented words, and holds the record whole."""
    assert dead_letter.class_name in CLASSES, f"an undocumented class: {dead_letter.class_name}"
    assert dead_letter.stage in STAGES
    assert dead_letter.message, "the header doesn't say why"
    assert len(dead_letter.message) <= _LONGEST_MESSAGE, "a message that may quote something"
    assert given.mark not in dead_letter.message, (
        f"the message quotes the post: {dead_letter.message}"
    )
    assert dead_letter.attempts >= 1
    assert (dead_letter.key, dead_letter.value, dead_letter.headers) == (
        record.key,
        record.value,
        record.headers,
    )
    headers = dead_letter_headers(dead_letter)
    _can_be_written(headers)
    reason = {name: value for name, value in headers if name.startswith("__emostream.errors.")}
    assert (reason["__emostream.errors.class.name"] or b"").decode() == dead_letter.class_name
    assert given.mark.encode() not in b"\0".join(value or b"" for value in reason.values())
    found = read_dead_letter(dead_letter.key, dead_letter.value, headers)
    assert found.headers == own_headers(record.headers)
    assert msgspec.structs.replace(found, headers=dead_letter.headers) == dead_letter


def _is_an_event(given: Input, record: Record, emit: Emit, *, include_text: bool) -> None:
    event = msgspec.json.decode(emit.value, type=AffectEvent)  # types and ranges
    again = msgspec.json.encode(event)
    assert msgspec.json.decode(again, type=AffectEvent) == event
    json.loads(emit.value, parse_constant=_no_constant)
    UUID(event.id)
    assert event.created_at.tzinfo is not None
    assert (event.text is not None) is include_text
    assert emit.key == (record.key if record.key is not None else event.post_id.encode())
    _says_something(event)
    for reason in event.unanswered.values():
        known = reason in _REASONS or reason.startswith(_REASONS_BEGIN)
        assert known, f"a reason that nobody foresaw: {reason}"
        assert given.mark not in reason, "a reason that quotes the post"
    _can_be_written(emit.headers)
    headers = dict(emit.headers)
    assert headers["ce_id"] == event.id.encode()
    assert not any(c < 0x20 or c == 0x7F for c in headers["ce_subject"])


def _says_something(event: AffectEvent) -> None:
    results = (
        event.sentiment,
        event.emotions,
        event.intensity,
        event.intensity_class,
        event.custom,
    )
    assert any(one is not msgspec.UNSET for one in results), "an event that says nothing"


def _can_be_written(headers: Any) -> None:
    for name, value in headers:
        name.encode()
        assert value is None or isinstance(value, bytes)


def _no_constant(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")
