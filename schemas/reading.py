"""Records of topics that hold more than one kind of message."""

import msgspec

from schemas.alert import Alert, AlertAction

NO_MESSAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a value that is none of ours: the last two, for a text that is no UTF-8
and for nesting deeper than Python's stack, are no `DecodeError`."""

_ALERT = msgspec.json.Decoder(Alert)
_ACTION = msgspec.json.Decoder(AlertAction)


def read_alert_record(value: bytes) -> Alert | AlertAction | None:
    """A record of the alerts' topic: a transition, or what a person did with one; else None."""
    for decoder in (_ALERT, _ACTION):
        try:
            return decoder.decode(value)
        except NO_MESSAGE:
            continue
    return None
