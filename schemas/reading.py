"""Reading what stands on topics: whatever a value is, at most one kind of error comes of it."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from schemas.alert import Alert, AlertAction

T = TypeVar("T")


def json_reader(kind: type[T]) -> Callable[[bytes], T]:
    """Make what reads a JSON value as `kind`.

    It raises msgspec.DecodeError for everything that isn't one: msgspec itself raises
    UnicodeDecodeError and RecursionError, too, and one such record would end its reader.
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(value: bytes) -> T:
        try:
            return decode(value)
        except UnicodeDecodeError:
            raise msgspec.DecodeError("invalid UTF-8") from None
        except RecursionError:
            raise msgspec.DecodeError("nested too deep") from None

    return read


_alert = json_reader(Alert)
_action = json_reader(AlertAction)


def read_alert_record(value: bytes) -> Alert | AlertAction | None:
    """A record of the alerts' topic: a transition, or what a person did with one; else None."""
    for read in (_alert, _action):
        try:
            return read(value)
        except msgspec.DecodeError:
            continue
    return None
