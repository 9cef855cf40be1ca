"""The consumer's configuration for a run of real processes."""

from pathlib import Path

from infra.kafka import TopicNames


def write_config(
    folder: Path, *, bootstrap: str, names: TopicNames, group: str, model: str
) -> Path:
    """Write it into the folder; `model` is the model server's address."""
    path = folder / "emostream.toml"
    path.write_text(
        f"""
[kafka]
bootstrap = "{bootstrap}"
session_timeout_s = 6

[input]
topics = ["{names.posts}"]
group_id = "{group}"

[output]
events_topic = "{names.events}"
dlq_topic = "{names.dead_letters}"

[model]
servers = ["{model}"]

[log]
format = "json"
""",
        encoding="utf-8",
    )
    return path
