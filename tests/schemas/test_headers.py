"""What the headers of events and dead letters promise."""

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from schemas import (
    AFFECT_EVENT,
    DeadLetter,
    NotADeadLetterError,
    dead_letter_headers,
    event_headers,
    read_dead_letter,
)
from schemas.generate import dead_letter_headers_schema, event_headers_schema
from schemas.headers import ERRORS_PREFIX, REPLAYS, replays
from tests.schemas.examples import NOON, dead_letters, texts

LETTER = DeadLetter(
    key=b"k",
    value=b"\xff",
    headers=(("trace", b"1"), ("trace", b"2"), ("nothing", None)),
    topic="posts",
    partition=3,
    offset=17,
    stage="decode",
    class_name="NotUtf8",
    message="invalid UTF-8 at byte 0",
    attempts=1,
    model=None,
    first_seen=NOON,
)


def test_an_event_carries_the_required_cloudevents_attributes() -> None:
    headers = dict(event_headers(id="e-1", subject="p-1", time=NOON, source="/ours"))
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_type": b"io.emostream.affect.v1",
        "ce_source": b"/ours",
        "ce_dataschema": AFFECT_EVENT.dataschema.encode(),
        "content-type": b"application/json",
        "ce_id": b"e-1",
        "ce_time": b"2026-05-04T12:00:00.000250+00:00",
        "ce_subject": b"p-1",
    }


def test_the_trace_context_is_passed_on_and_nothing_else_of_the_record() -> None:
    headers = event_headers(
        id="e",
        subject="p",
        time=NOON,
        record_headers=(
            ("secret", b"x"),
            ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("tracestate", b"a=1"),
            ("tracestate", None),
        ),
    )
    assert headers[-2:] == (
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", b"a=1"),
    )
    assert "secret" not in dict(headers)


@given(subject=texts)
def test_no_subject_puts_control_characters_into_an_attribute(subject: str) -> None:
    value = dict(event_headers(id="e", subject=subject, time=NOON))["ce_subject"].decode()
    assert len(value) == len(subject)
    assert not any(c < " " or "\x7f" <= c <= "\x9f" for c in value)


def test_the_headers_satisfy_their_own_schema() -> None:
    written = event_headers(id="e-1", subject="p-1", time=NOON)
    validator = Draft202012Validator(event_headers_schema())
    validator.validate({name: value.decode() for name, value in written})
    assert not validator.is_valid({"ce_id": "e-1"})


@given(letter=dead_letters)
def test_a_dead_letter_is_read_back_as_it_was_written(letter: DeadLetter) -> None:
    headers = dead_letter_headers(letter)
    assert read_dead_letter(letter.key, letter.value, headers) == letter


def is_reason(name: str) -> bool:
    return name.startswith(ERRORS_PREFIX)


def test_the_reason_satisfies_its_schema() -> None:
    letter = replace(LETTER, model="m", timestamp_ms=1_700_000_000_000)
    headers = dead_letter_headers(letter)
    Draft202012Validator(dead_letter_headers_schema()).validate(
        {name: value.decode() for name, value in headers if is_reason(name) and value is not None}
    )
    assert {name.removeprefix(ERRORS_PREFIX) for name, _ in headers if is_reason(name)} == {
        "topic",
        "partition",
        "offset",
        "stage",
        "class.name",
        "message",
        "attempts",
        "model",
        "first.seen",
        "timestamp",
    }


def test_a_second_failure_replaces_the_first_reason() -> None:
    first = dead_letter_headers(LETTER)
    again = replace(LETTER, headers=first, class_name="EmptyText", offset=99)
    second = dead_letter_headers(again)
    names = [name for name, _ in second]
    assert all(names.count(name) == 1 for name in names if is_reason(name))
    read = read_dead_letter(b"k", b"\xff", second)
    assert (read.class_name, read.offset) == ("EmptyText", 99)
    assert read.headers == LETTER.headers


def test_the_count_of_replays_outlives_a_second_failure() -> None:
    letter = replace(LETTER, headers=((REPLAYS, b"2"),))
    assert replays(read_dead_letter(None, b"", dead_letter_headers(letter)).headers) == 2


@pytest.mark.parametrize("value", [b"", b"-1", b"x", b"1.5", None, "٣".encode()])
def test_a_count_that_is_no_number_counts_as_none(value: bytes | None) -> None:
    assert replays(((REPLAYS, value),)) == 0


def test_a_message_with_half_a_character_still_becomes_a_dead_letter() -> None:
    headers = dict(dead_letter_headers(replace(LETTER, message="odd: \ud800")))
    assert headers[f"{ERRORS_PREFIX}message"] == rb"odd: \ud800"


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({}, "topic"),
        ({"partition": b"three"}, "unreadable"),
        ({"first.seen": b"yesterday"}, "unreadable"),
        ({"message": b"\xff"}, "unreadable"),
    ],
)
def test_what_is_no_dead_letter_is_refused(broken: dict[str, bytes], named: str) -> None:
    whole = dict(dead_letter_headers(LETTER))
    headers = {**whole, **{ERRORS_PREFIX + k: v for k, v in broken.items()}} if broken else {}
    with pytest.raises(NotADeadLetterError, match=named):
        read_dead_letter(None, b"", tuple(headers.items()))
