"""The official client's own mock behind our client."""

from typing import Any

from confluent_kafka.schema_registry import AsyncSchemaRegistryClient

from runtime.registry.client import RegistryClient
from runtime.settings.registry import Registry


def mocked(**settings: Any) -> tuple[RegistryClient, Registry]:
    """A client of an empty registry in memory, and the settings that it goes by."""
    made = Registry(urls=("http://registry:8081",), **settings)
    mock = AsyncSchemaRegistryClient.new_client({"url": "mock://test"})
    return RegistryClient(made, connect=lambda: mock), made
