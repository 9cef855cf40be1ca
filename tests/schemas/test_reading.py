"""Values that are no message of ours: a reader of a topic goes on past each of them."""

import msgspec
import pytest

from schemas import AffectEvent, Alert, Mute
from schemas.reading import json_reader, read_alert_record

FOREIGN = {
    "no JSON": b"\x00\x00",
    "other JSON": b"[]",
    "text that is no UTF-8": b'{"version":1,"id":"\xff"}',
    "a key that is no UTF-8": b'{"\xff":1}',
    "nested too deep": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number without an end": b'{"version":' + b"1" * 10_000 + b"}",
}


@pytest.mark.parametrize("kind", [AffectEvent, Alert, Mute])
@pytest.mark.parametrize("value", FOREIGN.values(), ids=FOREIGN)
def test_whatever_a_value_is_it_is_refused_with_one_kind_of_error(kind: type, value: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        json_reader(kind)(value)


@pytest.mark.parametrize("value", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_record_on_the_topic_of_alerts_is_neither_alert_nor_action(value: bytes) -> None:
    assert read_alert_record(value) is None
