"""The AsyncAPI 3.0 document: which messages stand on which topics, and who writes them."""

from collections.abc import Iterable, Mapping
from typing import Any

VERSION = "1.2.0"
"""Of the contracts, not of the program: it moves when a message changes."""


def asyncapi_document(schemas: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The document, from the point of view of emostream's programs; default topic names.

    `schemas` are JSON Schemas with a `title` each, and their parts in `$defs`. Both move to the
    document's components, under their titles.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "emostream",
            "version": VERSION,
            "description": "Social-media posts in, emotion and sentiment events out.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "posts": _channel("posts", "Posts to be read.", "Post"),
            "affectEvents": _channel("affect.events", "What was read.", "AffectEvent"),
            "deadLetters": _channel(
                "affect.dlq", "Records that could not become an event.", "DeadLetter"
            ),
            "windows": _channel("affect.windows", "Each track's closed minutes.", "Window"),
            "alerts": _channel(
                "affect.alerts", "Alerts, and what people say of them.", "Alert", "AlertAction"
            ),
            "mutes": _channel("affect.mutes", "Tracks that are not to notify.", "Mute"),
            "baselines": _channel(
                "affect.baselines", "What the monitor has learnt of each track.", "Baseline"
            ),
        },
        "operations": {
            "receivePost": _operation("receive", "posts", "Post"),
            "sendAffectEvent": _operation("send", "affectEvents", "AffectEvent"),
            "sendDeadLetter": _operation("send", "deadLetters", "DeadLetter"),
            "sendWindow": _operation("send", "windows", "Window"),
            "sendAlert": _operation("send", "alerts", "Alert"),
            "sendAlertAction": _operation("send", "alerts", "AlertAction"),
            "sendMute": _operation("send", "mutes", "Mute"),
            "sendBaseline": _operation("send", "baselines", "Baseline"),
        },
        "components": {
            "messages": {
                "Post": _message("Post", "One social-media post.", payload="Post"),
                "AffectEvent": _message(
                    "AffectEvent",
                    "What an EmoLLM read in one post (a CloudEvent in binary mode).",
                    payload="AffectEvent",
                    headers="AffectEventHeaders",
                ),
                "DeadLetter": _message(
                    "DeadLetter",
                    "The original record, key and value untouched, and why it was refused.",
                    headers="DeadLetterHeaders",
                    content_type="application/octet-stream",
                ),
                "Window": _message(
                    "Window",
                    "One track's posts of one closed minute.",
                    payload="Window",
                    key="Track and start of the window: the same when it is written again.",
                ),
                "Alert": _message(
                    "Alert", "One transition of an alert.", payload="Alert", key="`alert_id`."
                ),
                "AlertAction": _message(
                    "AlertAction",
                    "What a person did with an alert.",
                    payload="AlertAction",
                    key="`alert_id`.",
                ),
                "Mute": _message(
                    "Mute", "No notification of a track.", payload="Mute", key="`track`."
                ),
                "Baseline": _message(
                    "Baseline",
                    "A track's detector at one moment: the monitor's own state.",
                    payload="Baseline",
                    key="`track`.",
                ),
            },
            "schemas": _components(schemas),
        },
    }


def _channel(address: str, description: str, *messages: str) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": {"topic": address, "bindingVersion": "0.5.0"}},
    }


def _operation(action: str, channel: str, message: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
    }


def _message(
    name: str,
    summary: str,
    *,
    payload: str | None = None,
    headers: str | None = None,
    content_type: str = "application/json",
    key: str = "The post's key, else its id.",
) -> dict[str, Any]:
    key_schema = {"type": "string", "description": key}
    message: dict[str, Any] = {
        "name": name,
        "summary": summary,
        "contentType": content_type,
        "bindings": {"kafka": {"key": key_schema, "bindingVersion": "0.5.0"}},
    }
    if headers:
        message["headers"] = {"$ref": f"#/components/schemas/{headers}"}
    if payload:
        message["payload"] = {"$ref": f"#/components/schemas/{payload}"}
    return message


def _components(schemas: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    components: dict[str, Any] = {}
    for schema in schemas:
        top = {key: part for key, part in schema.items() if key not in {"$schema", "$id", "$defs"}}
        for name, part in ({schema["title"]: top} | schema.get("$defs", {})).items():
            components[name] = _pointing_to_components(part)
    return components


def _pointing_to_components(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            key: part.replace("#/$defs/", "#/components/schemas/")
            if key == "$ref"
            else _pointing_to_components(part)
            for key, part in node.items()
        }
    if isinstance(node, list):
        return [_pointing_to_components(part) for part in node]
    return node
