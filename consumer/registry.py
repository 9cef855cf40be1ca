"""What the consumer reads and writes by a schema registry, where one is configured."""

from collections.abc import Callable

from consumer.analysis.schemas_first import SchemasFirst
from consumer.settings import Settings
from runtime.errors import AccessDenied
from runtime.registry.client import Observer, RegistryClient
from runtime.registry.errors import RegistryDenied
from runtime.registry.reading import SchemaReader
from runtime.registry.values import CONTENT_TYPES, Encoded
from runtime.registry.writing import SchemaWriter
from schemas import AffectEvent
from schemas.contracts import EVENTS


class ConsumerRegistry:
    """The schemas of posts, and that of events. Nothing where the settings name no registry."""

    def __init__(
        self,
        settings: Settings,
        observer: Observer | None = None,
        *,
        client: RegistryClient | None = None,
    ) -> None:
        options = settings.registry
        client = client or RegistryClient(options, observer=observer)
        self._shown = client.shown
        self._topic = settings.output.events_topic
        self._writer: SchemaWriter | None = None
        self.reader: SchemaReader | None = None
        """Reads posts; None where they are plain JSON."""
        self.first: SchemasFirst | None = None
        """Has posts wait for their schemas; None likewise."""
        if options.format:
            self._writer = SchemaWriter(client, options, {self._topic: EVENTS})
        if settings.input.value == "registry":
            self.reader = SchemaReader(client, max_schemas=options.max_schemas)
            self.first = SchemasFirst(self.reader)
        self.content_type = CONTENT_TYPES[options.format]

    async def open(self) -> None:
        """Ask for the schema that events are written by, however long the registry takes.

        Raises:
            AccessDenied: it refuses us.
            Misconfigured: the subject isn't there, or not as it has to be.
        """
        if self._writer is not None:
            try:
                await self._writer.open()
            except RegistryDenied as error:
                raise AccessDenied(str(error)) from error

    @property
    def frame(self) -> Callable[[AffectEvent], Encoded] | None:
        """What makes an event's value; None where it is plain JSON."""
        writer, topic = self._writer, self._topic
        return None if writer is None else lambda event: writer.encode(topic, event)

    def waiting(self) -> int:
        """How many records wait for a schema now."""
        return 0 if self.first is None else self.first.waiting

    def problems(self) -> list[str]:
        """What keeps posts waiting; empty while the registry answers or isn't needed."""
        starting = self._writer is not None and self._writer.unavailable
        if starting or (self.first is not None and self.first.out):
            return [f"the schema registry at {self._shown} gives no usable answer"]
        return []
