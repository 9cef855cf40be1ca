"""What can be configured of the monitor: `[monitor]` in the file that the consumer reads, too.

    settings = load("emostream.toml", os.environ)

Unknown keys and unsafe combinations are refused with a `ConfigError` that says what to change.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from monitor.settings._monitor import Monitor
from monitor.settings._page import Page
from monitor.settings._settings import Input, Output, Settings
from monitor.settings._tracks import Track
from runtime import settings as _runtime

__all__ = [
    "Input",
    "Monitor",
    "Output",
    "Page",
    "Settings",
    "Track",
    "load",
    "to_example_toml",
    "to_markdown",
]


def load(
    path: str | Path | None, env: Mapping[str, str], flags: Mapping[str, str] = MappingProxyType({})
) -> Settings:
    """Read the monitor's settings; see `runtime.settings.load`.

    Raises:
        ConfigError: the file can't be read, a key is unknown, or a value or combination is refused.
    """
    return _runtime.load(Settings, path, env, flags)


def to_markdown() -> str:
    """The reference of `[monitor]`, to stand below the consumer's sections."""
    return _runtime.sections_to_markdown(Settings, only="monitor")


def to_example_toml() -> str:
    """The section `[monitor]` at its defaults, as comments but for the keys most people set."""
    shown = {"monitor": ("by", "false_alarms"), "monitor.page": ("host", "port")}
    return _runtime.sections_to_toml(Settings, shown=shown, only="monitor") + _TRACKS


_TRACKS = """
# What `emostream monitor` watches: one track for each topic tag, or those that are named here.
#[[monitor.tracks]]
#name = "trains"
#keywords = ["railway", "#delayed", "late train"]
"""
