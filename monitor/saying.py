"""Writing what people say of alerts and tracks: the records behind ack, note, false and mute."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from monitor.mutes import check_mute
from runtime.kafka.producing import Outgoing
from runtime.registry.values import JSON_VALUES, ValueWriter
from schemas.alert import AlertAction, Mute

MAX_NOTE = 2_000
"""Characters of a note: a few paragraphs, and never a record too large."""
MAX_BY = 200

Write = Callable[[Outgoing], Awaitable[None]]
"""Writes one record, and returns when the broker has acknowledged it."""


def alert_action(
    alert_id: str, action: str, *, by: str, note: str | None, at: datetime
) -> AlertAction:
    """Make the record.

    Raises:
        ValueError: a note is too long or missing, or nobody says it.
    """
    _check(by, note)
    if action == "note" and not note:
        raise ValueError("a note needs a text")
    made = {
        "version": 1,
        "id": str(uuid4()),
        "alert_id": alert_id,
        "action": action,
        "by": by,
        "at": at.astimezone(UTC),
        "note": note,
    }
    return msgspec.convert(made, AlertAction)


def mute_of(
    track: str,
    *,
    by: str,
    at: datetime,
    until: datetime | None = None,
    weekly: str | None = None,
    zone: str | None = None,
    note: str | None = None,
) -> Mute:
    """Make the record.

    Raises:
        ValueError: it can't be understood, or would never be in force.
    """
    _check(by, note)
    if not track:
        raise ValueError("a mute needs the name of a track")
    try:
        ends = until.astimezone(UTC) if until else None
    except OverflowError:
        raise ValueError("until must lie within the years 1 to 9999 in UTC, too") from None
    mute = Mute(
        version=1,
        id=str(uuid4()),
        track=track,
        by=by,
        at=at.astimezone(UTC),
        until=ends,
        weekly=weekly,
        zone=zone,
        note=note,
    )
    check_mute(mute)
    return mute


def action_record(topic: str, action: AlertAction, values: ValueWriter = JSON_VALUES) -> Outgoing:
    """Its record on the alerts' topic, beside its alert."""
    value, headers = values.encode(topic, action)
    return Outgoing(topic=topic, key=action.alert_id.encode(), value=value, headers=headers)


def mute_record(
    topic: str, track: str, mute: Mute | None, values: ValueWriter = JSON_VALUES
) -> Outgoing:
    """Its record on the mutes' topic; None takes the track's mute away."""
    if mute is None:
        return Outgoing(topic=topic, key=track.encode(), value=None)
    value, headers = values.encode(topic, mute)
    return Outgoing(topic=topic, key=track.encode(), value=value, headers=headers)


def _check(by: str, note: str | None) -> None:
    if not by or len(by) > MAX_BY:
        raise ValueError(f"by is who says it, {MAX_BY} characters at most")
    if note is not None and len(note) > MAX_NOTE:
        raise ValueError(f"a note has {MAX_NOTE} characters at most")
