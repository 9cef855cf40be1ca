"""Framed values to JSON: schemas are asked for once, ahead of the records that need them.

Decoding itself never waits. A caller looks whether a record's schema is known, has it asked for if
not, and decodes then: so a slow registry holds up the records that need a new schema, alone.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import structlog

from runtime.clock import Clock, SystemClock, sleep
from runtime.registry.avro import AvroReader
from runtime.registry.client import RegistryClient
from runtime.registry.errors import NotRegistered, RegistryUnavailable, Undecodable
from runtime.registry.framing import Framed, SchemaRef, read_framing
from runtime.registry.known import KnownSchemas
from runtime.telemetry import log_events
from runtime.telemetry.waiting import Waiting

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import Schema

_log = structlog.get_logger(__name__)

UNKNOWN_S: Final = 60.0
"""For which an id that the registry didn't have isn't asked for again: a producer that registers
late has its next records read within a minute, and a flood of one bad id costs one question."""
_AT_ONCE: Final = 4
"""Questions under way: a flood of different bad ids must not become the registry's load."""
_RETRY_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Between tries while the registry doesn't answer."""
_DEPTH: Final = 20
"""Schemas that refer to schemas that refer to schemas: no sane one goes deeper."""


class SchemaReader:
    """Knows schemas, and reads values by them."""

    def __init__(
        self, client: RegistryClient, *, max_schemas: int = 1_000, clock: Clock | None = None
    ) -> None:
        self._client = client
        self._clock = clock = clock or SystemClock()
        self._max = max_schemas
        self._known = KnownSchemas(max_schemas)
        self._avro = AvroReader(self._known)
        self._missing: OrderedDict[SchemaRef, float] = OrderedDict()
        """Ids that the registry doesn't have, and until when that is believed (monotonic)."""
        self._asking: dict[SchemaRef, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._lost = Waiting(log_events.REGISTRY_UNREACHABLE, clock)
        self.unavailable = False
        """Whether the registry gave no usable answer when it was asked last."""

    def knows(self, ref: SchemaRef) -> bool:
        """Whether values of this schema can be decoded, or refused, without a question."""
        return ref in self._known or self._clock.monotonic() < self._missing.get(ref, 0.0)

    async def know(self, refs: Iterable[SchemaRef]) -> None:
        """Ask for those that aren't known: one try each, shared by all who want it.

        What the registry doesn't have is noted: `decode` refuses its values.

        Raises:
            RegistryUnavailable: the registry gave no usable answer.
            RegistryDenied: it refuses us.
        """
        tasks = [self._ask(ref) for ref in set(refs) if not self.knows(ref)]
        if not tasks:
            return
        await asyncio.wait(tasks)
        for task in tasks:
            task.result()

    async def wait_for(self, refs: Iterable[SchemaRef]) -> None:
        """The same, tried again and again while the registry doesn't answer; the log says so.

        Raises:
            RegistryDenied: it refuses us.
        """
        wanted, tries = set(refs), 0
        while True:
            try:
                await self.know(wanted)
            except RegistryUnavailable as error:
                self._lost.still(registry=self._client.shown, reason=str(error))
                await sleep(self._clock, _RETRY_S[min(tries, len(_RETRY_S) - 1)])
                tries += 1
            else:
                return

    def decode(self, value: bytes, framed: Framed, *, leave_out_nulls: bool = False) -> bytes:
        """The value as JSON. Its schema was asked for before.

        JSON that a JSON Schema frames is handed on as it is: whoever reads it checks what it needs.
        `leave_out_nulls` leaves out what an Avro record has as null: where null means absent.

        Raises:
            Undecodable: the registry doesn't have its schema, or it isn't what that says.
            LookupError: it wasn't asked for, or so many others were since that it is forgotten.
        """
        schema = self._known.find(framed.ref)
        if schema is None:
            if framed.ref not in self._missing:
                raise LookupError(f"the schema of {framed.ref} is not known")
            raise Undecodable(
                "unknown_schema",
                f"the schema registry at {self._client.shown} has no schema of {framed.ref}",
            )
        if schema.schema_type == "JSON":
            return value[framed.payload_at :]
        if schema.schema_type == "AVRO":
            return self._avro.decode(value, framed, leave_out_nulls=leave_out_nulls)
        raise Undecodable(
            "unknown_schema",
            f"the schema of {framed.ref} is of type {schema.schema_type}: AVRO and JSON are read",
        )

    async def decode_all(self, values: Iterable[tuple[bytes | None, Any]]) -> list[bytes | None]:
        """Values, each with its headers, as JSON; what can't be decoded is given as it is.

        Raises as `know`.
        """
        found = [
            (value, None if value is None else read_framing(value, headers))
            for value, headers in values
        ]
        await self.know({framed.ref for _, framed in found if framed is not None})
        return [self._plain(value, framed) for value, framed in found]

    def _plain(self, value: bytes | None, framed: Framed | None) -> bytes | None:
        if value is None or framed is None:
            return value
        try:
            return self.decode(value, framed, leave_out_nulls=True)
        except Undecodable:
            return value
        except LookupError:  # more ids at once than are remembered: junk that looks framed
            return value

    def _ask(self, ref: SchemaRef) -> asyncio.Task[None]:
        task = self._asking.get(ref)
        if task is None:
            task = self._asking[ref] = asyncio.get_running_loop().create_task(self._fetch(ref))
            task.add_done_callback(lambda done: self._asked(ref, done))
        return task

    def _asked(self, ref: SchemaRef, task: asyncio.Task[None]) -> None:
        del self._asking[ref]
        if not task.cancelled():
            task.exception()  # whoever still waits raises it; a caller may have been cancelled

    async def _fetch(self, ref: SchemaRef) -> None:
        async with self._turn:
            try:
                schema = await self._client.schema(ref)
                await self._references(schema)
            except NotRegistered:
                self._miss(ref)
            except RegistryUnavailable:
                self.unavailable = True
                raise
            else:
                self._known.add(ref, schema)
                self._missing.pop(ref, None)
        self.unavailable = False
        if self._lost.over():
            _log.info(log_events.REGISTRY_REACHABLE, registry=self._client.shown)

    def _miss(self, ref: SchemaRef) -> None:
        if ref not in self._missing:
            _log.warning(log_events.SCHEMA_UNKNOWN, registry=self._client.shown, schema=str(ref))
        self._missing[ref] = self._clock.monotonic() + UNKNOWN_S
        self._missing.move_to_end(ref)
        if len(self._missing) > self._max:
            self._missing.popitem(last=False)

    async def _references(self, schema: "Schema", depth: int = 0) -> None:
        """Have the schemas that it refers to, too."""
        for one in schema.references or ():
            if one.subject is None or one.version is None or depth >= _DEPTH:
                raise NotRegistered("its references can't be followed")
            if not self._known.has_version(one.subject, one.version):
                registered = await self._client.version(one.subject, one.version)
                await self._references(registered.schema, depth + 1)
                self._known.add_version(one.subject, one.version, registered)
