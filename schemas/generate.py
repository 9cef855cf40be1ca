"""Writes the contracts as files: JSON Schema 2020-12 and Avro per message, AsyncAPI 3.0 for all.

`python -m schemas.generate` writes them into `schemas/json/`, `schemas/avro/` and
`schemas/asyncapi.json`; the structs are the source, and a test holds that the files are
current. Descriptions are the structs' own docstrings.
"""

import argparse
import inspect
import json
import sys
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from schemas.alert import Alert, AlertAction, Evidence, Mute, Term
from schemas.asyncapi import asyncapi_document
from schemas.avro import AvroSchema, avro_schema
from schemas.baseline import Baseline
from schemas.dead_letter import DeadLetter
from schemas.docs import field_docs
from schemas.event import AffectEvent, ModelRef, ModelUse, Sentiment
from schemas.headers import AFFECT_EVENT, DEFAULT_SOURCE, ERRORS_PREFIX, REPLAYS
from schemas.post import Post
from schemas.window import Expected, ExpectedValue, OffsetRange, PaneSums, Quantiles, Window

JsonSchema: TypeAlias = dict[str, Any]

FOLDER = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_STRUCTS: tuple[type[msgspec.Struct], ...] = (
    *(Post, AffectEvent, Sentiment, ModelRef, ModelUse),
    *(Window, PaneSums, Quantiles, OffsetRange, Expected, ExpectedValue),
    *(Alert, Evidence, Term, AlertAction, Mute, Baseline),
)


def post_schema() -> JsonSchema:
    """JSON Schema of a record on an input topic."""
    return _of_struct(Post, "urn:emostream:schema:post:v1")


def affect_event_schema() -> JsonSchema:
    """JSON Schema of a record on the output topic."""
    return _of_struct(AffectEvent, AFFECT_EVENT.dataschema)


def window_schema() -> JsonSchema:
    """JSON Schema of a closed minute of a track."""
    return _of_struct(Window, "urn:emostream:schema:window:v1")


def alert_schema() -> JsonSchema:
    """JSON Schema of an alert's transition."""
    return _of_struct(Alert, "urn:emostream:schema:alert:v1")


def alert_action_schema() -> JsonSchema:
    """JSON Schema of what a person did with an alert."""
    return _of_struct(AlertAction, "urn:emostream:schema:alert-action:v1")


def alert_record_schema() -> JsonSchema:
    """JSON Schema of a record on the alerts' topic: a transition, or what a person did with one."""
    parts: JsonSchema = {}
    for schema in (alert_schema(), alert_action_schema()):
        parts |= schema.pop("$defs", {})
        del schema["$schema"], schema["$id"]
        parts[schema["title"]] = schema
    return {
        "$schema": DIALECT,
        "$id": "urn:emostream:schema:alert-record:v1",
        "title": "AlertRecord",
        "description": "A record on the alerts' topic.",
        "type": "object",
        "anyOf": [{"$ref": "#/$defs/Alert"}, {"$ref": "#/$defs/AlertAction"}],
        "$defs": parts,
    }


def mute_schema() -> JsonSchema:
    """JSON Schema of a track's mute."""
    return _of_struct(Mute, "urn:emostream:schema:mute:v1")


def baseline_schema() -> JsonSchema:
    """JSON Schema of what the monitor has learnt of a track."""
    return _of_struct(Baseline, "urn:emostream:schema:baseline:v1")


def event_headers_schema() -> JsonSchema:
    """JSON Schema of an event's Kafka headers, read as UTF-8 strings."""
    properties: dict[str, JsonSchema] = {
        "ce_specversion": {"const": "1.0"},
        "ce_type": {"const": AFFECT_EVENT.type},
        "ce_source": _text("URI reference of the pipeline.", examples=[DEFAULT_SOURCE]),
        "ce_dataschema": {"const": AFFECT_EVENT.dataschema},
        "content-type": {"const": "application/json"},
        "ce_id": _text("The event's `id`: the same after a redelivery.", minLength=1),
        "ce_time": _text("When the post was read (the event's `processed_at`).", **_TIME),
        "ce_subject": _text("The post's id."),
    }
    trace = {
        "traceparent": _text("W3C Trace Context, as the post brought it."),
        "tracestate": _text("W3C Trace Context, as the post brought it."),
    }
    return {
        "$schema": DIALECT,
        "$id": "urn:emostream:schema:affect-event-headers:v1",
        "title": "AffectEventHeaders",
        "description": "CloudEvents 1.0, Kafka protocol binding, binary mode.",
        "type": "object",
        "properties": properties | trace,
        "required": list(properties),
    }


def dead_letter_headers_schema() -> JsonSchema:
    """JSON Schema of a dead letter's Kafka headers, read as UTF-8 strings.

    The record's own headers travel beside these; its key and value are the original's bytes.
    """
    required = {
        "topic": _text("Topic that the record came from."),
        "partition": _number("Its partition there."),
        "offset": _number("Its offset there."),
        "stage": _text("Where on the way it failed: `decode`, `plan`, `infer`, `read`, `publish`."),
        "class.name": _text("Error class.", minLength=1),
        "message": _text("For a human; never the post's text, a handle or a secret."),
        "attempts": _number("How often it was tried."),
        "first.seen": _text("When the consumer first took the record up (UTC).", **_TIME),
    }
    optional = {
        f"{ERRORS_PREFIX}model": _text("Id of the model that was asked."),
        f"{ERRORS_PREFIX}withheld": _text(
            "`true`: the record's key, value and headers are left out, to identify nobody.",
            enum=["true"],
        ),
        f"{ERRORS_PREFIX}timestamp": _number("The record's own timestamp, Unix milliseconds."),
        REPLAYS: _number("How often it was replayed from a dead-letter topic."),
    }
    named = {f"{ERRORS_PREFIX}{name}": schema for name, schema in required.items()}
    return {
        "$schema": DIALECT,
        "$id": "urn:emostream:schema:dead-letter-headers:v1",
        "title": "DeadLetterHeaders",
        "description": "Why a record became no event, named after Kafka Connect's headers.",
        "type": "object",
        "properties": named | optional,
        "required": list(named),
    }


def avro_schemas() -> dict[str, AvroSchema]:
    """Every Avro schema by its path below `schemas/`.

    A dead letter's is for who keeps dead letters in tables; on its topic the value is the
    original's bytes.
    """
    return {
        "avro/post.v1.avsc": avro_schema(Post),
        "avro/affect_event.v1.avsc": avro_schema(AffectEvent),
        "avro/window.v1.avsc": avro_schema(Window),
        "avro/alert.v1.avsc": avro_schema(Alert),
        "avro/alert_action.v1.avsc": avro_schema(AlertAction),
        "avro/alert_record.v1.avsc": avro_schema(Alert, AlertAction),
        "avro/mute.v1.avsc": avro_schema(Mute),
        "avro/dead_letter.v1.avsc": avro_schema(DeadLetter),
    }


def documents() -> dict[str, str]:
    """Every generated document's text by its path below `schemas/`."""
    schemas = {
        "json/post.v1.schema.json": post_schema(),
        "json/affect_event.v1.schema.json": affect_event_schema(),
        "json/affect_event_headers.v1.schema.json": event_headers_schema(),
        "json/dead_letter_headers.v1.schema.json": dead_letter_headers_schema(),
        "json/window.v1.schema.json": window_schema(),
        "json/alert.v1.schema.json": alert_schema(),
        "json/alert_action.v1.schema.json": alert_action_schema(),
        "json/mute.v1.schema.json": mute_schema(),
        "json/baseline.v1.schema.json": baseline_schema(),
    }
    whole: dict[str, JsonSchema | AvroSchema] = {
        **schemas,
        "json/alert_record.v1.schema.json": alert_record_schema(),
        "asyncapi.json": asyncapi_document(list(schemas.values())),
        **avro_schemas(),
    }
    return {
        name: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in whole.items()
    }


def write(folder: Path = FOLDER) -> list[Path]:
    """Write every document below `folder`; the paths of those that changed."""
    changed = []
    for name, text in documents().items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def outdated(folder: Path = FOLDER) -> list[Path]:
    """The documents below `folder` that are missing or say something else than the structs."""
    return [
        folder / name
        for name, text in documents().items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text
    ]


_TIME = {"format": "date-time"}


def _text(description: str, **more: Any) -> JsonSchema:
    return {"description": description, "type": "string", **more}


def _number(description: str) -> JsonSchema:
    return _text(description, pattern="^[0-9]+$")


def _of_struct(struct: type[msgspec.Struct], id_: str) -> JsonSchema:
    """One self-contained schema: the struct at the top, what it refers to in `$defs`."""
    _, found = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    by_name = {kind.__name__: kind for kind in _STRUCTS}
    for name, schema in found.items():
        schema["description"] = inspect.cleandoc(schema["description"])
        for field, text in field_docs(by_name[name]).items():
            prop = schema["properties"][field]
            # Beside a $ref a description is allowed since 2019-09; AsyncAPI's dialect ignores it.
            schema["properties"][field] = {"description": text, **prop}
        if not schema["required"]:
            del schema["required"]
    top = found.pop(struct.__name__)
    definitions = {"$defs": found} if found else {}
    return {"$schema": DIALECT, "$id": id_, **top, **definitions}


def main() -> int:
    """Write the documents, or with `--check` only say which are not current (exit status 1)."""
    parser = argparse.ArgumentParser(prog="python -m schemas.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    paths = outdated() if arguments.check else write()
    sys.stdout.writelines(f"{path}\n" for path in paths)
    return 1 if arguments.check and paths else 0


if __name__ == "__main__":
    raise SystemExit(main())
