"""What the monitor reads of an affect event: the few fields that windows and tracks need."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas import AffectEvent
from schemas.reading import NO_MESSAGE


class Mood(msgspec.Struct, frozen=True, gc=False):
    """The part of `sentiment` that is read."""

    valence: Annotated[float, Meta(ge=0, le=1)] | None = None


class Model(msgspec.Struct, frozen=True, gc=False):
    """The part of `model` that is read."""

    id: str
    revision: str | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One affect event as the monitor sees it. Fields are `schemas.AffectEvent`'s."""

    id: Annotated[str, Meta(min_length=1)]
    post_id: Annotated[str, Meta(min_length=1)]
    created_at: Annotated[datetime, Meta(tz=True)]
    processed_at: Annotated[datetime, Meta(tz=True)]
    model: Model
    source: str | None = None
    author: str | None = None
    lang: str | None = None
    topics: tuple[str, ...] = ()
    text: str | None = None
    sentiment: Mood | None = None
    emotions: tuple[str, ...] | None = None
    intensity: dict[str, float] | None = None
    opinion: str | None = None
    """Whose reading it is: `both`, `first` or `second`; absent where one model reads alone."""


_decoder = msgspec.json.Decoder(Reading)


def decode(value: bytes) -> Reading:
    """Decode one record's value; 2 microseconds.

    Raises:
        msgspec.ValidationError: a field is missing or has another type.
        msgspec.DecodeError: it isn't JSON.
    """
    try:
        return _decoder.decode(value)
    except msgspec.DecodeError:
        raise
    except NO_MESSAGE as error:  # neither of the others is one
        raise msgspec.DecodeError(f"no JSON ({type(error).__name__})") from None


def reading_of(event: AffectEvent) -> Reading:
    """Return an event that is already decoded as a Reading."""
    return msgspec.convert(msgspec.to_builtins(event), Reading)
