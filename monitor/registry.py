"""What the monitor reads and writes by a schema registry, where one is configured."""

from collections.abc import Collection, Mapping

from monitor.settings import Settings
from runtime.errors import AccessDenied
from runtime.registry.client import RegistryClient
from runtime.registry.consumer import TopicValues
from runtime.registry.errors import RegistryDenied
from runtime.registry.reading import SchemaReader
from runtime.registry.values import JSON_VALUES, ValueReader, ValueWriter
from runtime.registry.writing import SchemaWriter
from runtime.settings import Registry
from schemas.contracts import ALERTS, EVENTS, MUTES, WINDOWS, Contract


def written_topics(settings: Settings) -> dict[str, Contract]:
    """The topics that the monitor and its commands write by a schema; not its own baselines."""
    names = settings.monitor
    return {names.windows_topic: WINDOWS, names.alerts_topic: ALERTS, names.mutes_topic: MUTES}


def read_topics(settings: Settings) -> dict[str, Contract]:
    """The topics whose values may be framed. Never the dead letters: they hold anything."""
    return {settings.output.events_topic: EVENTS, **written_topics(settings)}


def value_reader(registry: Registry, topics: Collection[str]) -> ValueReader | None:
    """What reads framed values of these topics; None where no registry is named."""
    if not registry.urls:
        return None
    client = RegistryClient(registry)
    return TopicValues(SchemaReader(client, max_schemas=registry.max_schemas), topics)


async def value_writer(
    registry: Registry, topics: Mapping[str, Contract], *, wait: bool = True
) -> ValueWriter:
    """What writes these topics' values: plain JSON where `registry.format` is empty.

    With `wait` a registry that doesn't answer is waited for.

    Raises:
        AccessDenied: it refuses us.
        Misconfigured: a subject isn't there, or not as it has to be.
        RegistryUnavailable: without `wait`.
    """
    if not registry.format:
        return JSON_VALUES
    writer = SchemaWriter(RegistryClient(registry), registry, topics)
    try:
        await writer.open(wait=wait)
    except RegistryDenied as error:
        raise AccessDenied(str(error)) from error
    return writer
