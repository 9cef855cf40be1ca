"""Everything that can be configured: one TOML file, and `EMOSTREAM_…` variables over it.

    settings = load("emostream.toml", os.environ)

Unknown keys and unsafe combinations are refused with a `ConfigError` that says how to mend them.
Secrets never show in a repr, an error or a log.
"""

from consumer.settings._document import to_example_toml, to_markdown
from consumer.settings._kafka import Kafka, Sasl, SecurityProtocol, Tls
from consumer.settings._load import ConfigError, load
from consumer.settings._model import Cache, Model, Tasks
from consumer.settings._service import Batch, Drain, Fuse, Http, InFlight, Log
from consumer.settings._settings import Settings
from consumer.settings._topics import Fields, Input, Output

__all__ = [
    "Batch",
    "Cache",
    "ConfigError",
    "Drain",
    "Fields",
    "Fuse",
    "Http",
    "InFlight",
    "Input",
    "Kafka",
    "Log",
    "Model",
    "Output",
    "Sasl",
    "SecurityProtocol",
    "Settings",
    "Tasks",
    "Tls",
    "load",
    "to_example_toml",
    "to_markdown",
]
