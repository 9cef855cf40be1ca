"""Which messages each of our topics holds, with their schemas as text: what a registry is given."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from schemas.alert import Alert, AlertAction, Mute
from schemas.avro import full_name
from schemas.event import AffectEvent
from schemas.window import Window

SchemaFormat = Literal["json-schema", "avro"]

_FOLDER = Path(__file__).parent
_FILES: Final[dict[SchemaFormat, str]] = {
    "json-schema": "json/{}.v1.schema.json",
    "avro": "avro/{}.v1.avsc",
}


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What the values of a topic are."""

    structs: tuple[type[msgspec.Struct], ...]
    """The kinds of messages on it."""
    file: str
    """Its generated schemas' names, without version and ending."""
    parts: tuple["Contract", ...] = ()
    """Of a topic with several kinds: each kind's own."""

    def schema(self, form: SchemaFormat) -> str:
        """Its schema, as small as it gets."""
        return _text(_FOLDER / _FILES[form].format(self.file))

    def record_name(self, form: SchemaFormat) -> str:
        """What the official client takes a record's name from: Avro's full name, JSON's title."""
        (struct,) = self.structs
        return full_name(struct) if form == "avro" else struct.__name__

    def kinds(self) -> Iterator["Contract"]:
        """Yield one contract for each kind of message."""
        yield from self.parts or (self,)


_ALERT = Contract(structs=(Alert,), file="alert")
_ACTION = Contract(structs=(AlertAction,), file="alert_action")

EVENTS: Final = Contract(structs=(AffectEvent,), file="affect_event")
WINDOWS: Final = Contract(structs=(Window,), file="window")
ALERTS: Final = Contract(structs=(Alert, AlertAction), file="alert_record", parts=(_ALERT, _ACTION))
MUTES: Final = Contract(structs=(Mute,), file="mute")


@cache
def _text(path: Path) -> str:
    return json.dumps(json.loads(path.read_text(encoding="utf-8")), separators=(",", ":"))
