"""Everything that can be configured: one TOML file, and `EMOSTREAM_…` variables over it.

    settings = load("emostream.toml", os.environ)

Unknown keys and unsafe combinations are refused with a `ConfigError` that says what to change.
Secrets never show in a repr, an error or a log.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from consumer.settings._model import Cache, Model, Tasks
from consumer.settings._second import Second
from consumer.settings._servers import ModelServers
from consumer.settings._service import Batch, Delivery, Drain, Fuse, InFlight
from consumer.settings._settings import Settings
from consumer.settings._topics import Fields, Input, Output
from runtime import settings as _runtime

__all__ = [
    "Batch",
    "Cache",
    "Delivery",
    "Drain",
    "Fields",
    "Fuse",
    "InFlight",
    "Input",
    "Model",
    "ModelServers",
    "Output",
    "Second",
    "Settings",
    "Tasks",
    "load",
    "to_example_toml",
    "to_markdown",
]

_SHOWN = {
    "kafka": ("bootstrap",),
    "input": ("topics", "group_id"),
    "output": ("events_topic", "dlq_topic", "include_text"),
    "model": ("servers",),
    "model.second": ("servers",),
    "tasks": ("v_oc", "ei_oc", "ei_emotions"),
    "http": ("host", "port"),
}
"""What most people set; the example has the rest as comments."""


def load(
    path: str | Path | None, env: Mapping[str, str], flags: Mapping[str, str] = MappingProxyType({})
) -> Settings:
    """Read the consumer's settings; see `runtime.settings.load`.

    Raises:
        ConfigError: the file can't be read, a key is unknown, or a value or combination is refused.
    """
    return _runtime.load(Settings, path, env, flags)


def to_markdown() -> str:
    """The reference page: every key with its variable, type, default and meaning."""
    return _runtime.to_markdown(Settings, made_from="consumer/settings")


def to_example_toml() -> str:
    """A file with every key at its default, those seldom set as comments. It loads as it is."""
    return _runtime.to_example_toml(Settings, shown=_SHOWN)
