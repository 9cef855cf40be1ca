"""Records of topics that hold more than one kind of message."""

import msgspec

from schemas.alert import Alert, AlertAction

_ALERT = msgspec.json.Decoder(Alert)
_ACTION = msgspec.json.Decoder(AlertAction)


def read_alert_record(value: bytes) -> Alert | AlertAction | None:
    """A record of the alerts' topic: a transition, or what a person did with one; else None."""
    for decoder in (_ALERT, _ACTION):
        try:
            return decoder.decode(value)
        except msgspec.DecodeError:
            continue
    return None
