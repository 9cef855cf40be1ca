"""What `emostream doctor` found."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at."""

    part: str
    state: Literal["ok", "bad", "skipped"]
    message: str
    """What was found; where it is bad, what to change."""


def ok(part: str, message: str) -> Finding:
    """All is well with it."""
    return Finding(part=part, state="ok", message=message)


def bad(part: str, message: str) -> Finding:
    """Something has to be changed."""
    return Finding(part=part, state="bad", message=message)


def skipped(part: str, message: str) -> Finding:
    """It could not be looked at."""
    return Finding(part=part, state="skipped", message=message)
