"""What `emostream doctor` says of the schema registry, where one is configured."""

from collections.abc import AsyncIterator, Iterable

from consumer.records import Record
from consumer.settings import Settings
from emostream.findings import Finding, bad, ok, skipped
from runtime.errors import Misconfigured
from runtime.kafka.errors import KafkaFault
from runtime.registry.checking import check_subject, describe
from runtime.registry.client import RegistryClient
from runtime.registry.framing import read_framing
from runtime.registry.reading import SchemaReader
from runtime.registry.writing import subjects
from schemas.contracts import EVENTS


async def look_at_registry(
    settings: Settings, client: RegistryClient | None = None
) -> AsyncIterator[Finding]:
    """Say whether it answers, lets us in, and has the subject that events are written by."""
    options = settings.registry
    if not options.urls:
        return
    client = client or RegistryClient(options)
    try:
        known = await client.subjects()
    except (KafkaFault, Misconfigured) as error:
        yield bad("registry", str(error))
        yield skipped("subjects", "no registry to ask")
        return
    yield ok("registry", f"{client.shown} answers, {len(known)} subjects")
    for subject in subjects(options, {settings.output.events_topic: EVENTS}):
        try:
            found = await check_subject(client, subject)
        except KafkaFault as error:
            yield bad("subjects", str(error))
            return
        words = f"{found.subject}: {describe(found)}"
        # What isn't registered stops a start, unless the start itself registers it or any will do.
        usable = (
            found.state == "registered"
            or (options.auto_register and found.state != "incompatible")
            or (options.use_latest_version and found.state == "compatible")
        )
        yield (ok if usable else bad)("subjects", words)


async def schemas_for(settings: Settings, records: Iterable[Record]) -> SchemaReader | None:
    """What reads these posts, with their schemas known; None where posts are plain JSON.

    Raises:
        RegistryUnavailable, RegistryDenied: the registry gives no answer, or refuses us.
    """
    if settings.input.value != "registry":
        return None
    options = settings.registry
    reader = SchemaReader(RegistryClient(options), max_schemas=options.max_schemas)
    framings = [read_framing(one.value, one.headers) for one in records if one.value is not None]
    await reader.know({framed.ref for framed in framings if framed is not None})
    return reader
