"""Typed settings out of one TOML file and the environment.

A program declares a `Document` of `Section`s; `load` reads it, and refuses what is unknown, wrong
or unsafe in words that say what to change.
"""

from runtime.settings.document import (
    sections_to_markdown,
    sections_to_toml,
    to_example_toml,
    to_markdown,
)
from runtime.settings.kafka import Kafka, Sasl, SecurityProtocol, Tls
from runtime.settings.load import ENV_PREFIX, ConfigError, keys, load
from runtime.settings.registry import Registry
from runtime.settings.section import Document, PartOfSection, Section, is_set
from runtime.settings.telemetry import Http, Log, Tracing

__all__ = [
    "ENV_PREFIX",
    "ConfigError",
    "Document",
    "Http",
    "Kafka",
    "Log",
    "PartOfSection",
    "Registry",
    "Sasl",
    "Section",
    "SecurityProtocol",
    "Tls",
    "Tracing",
    "is_set",
    "keys",
    "load",
    "sections_to_markdown",
    "sections_to_toml",
    "to_example_toml",
    "to_markdown",
]
