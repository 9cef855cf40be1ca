"""Messages to framed values, by schemas that were asked for at the start: writing never waits."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
import structlog

from runtime.clock import Clock, SystemClock, sleep
from runtime.errors import Misconfigured
from runtime.registry.avro import read_json_texts, to_avro
from runtime.registry.client import RegistryClient
from runtime.registry.errors import (
    Incompatible,
    NotRegistered,
    RegistryUnavailable,
    Unencodable,
)
from runtime.registry.framing import SchemaRef, header_of
from runtime.registry.known import KnownSchemas
from runtime.registry.values import Encoded
from runtime.settings.registry import Registry
from runtime.telemetry import log_events
from runtime.telemetry.waiting import Waiting

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import RegisteredSchema, Schema

_log = structlog.get_logger(__name__)

_RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0)

SchemaFormat = Literal["json-schema", "avro"]
TYPES: dict[SchemaFormat, str] = {"json-schema": "JSON", "avro": "AVRO"}
"""A registry's own names for them."""


class TopicContract(Protocol):
    """What a topic holds: `schemas.contracts.Contract`."""

    @property
    def structs(self) -> tuple[type[msgspec.Struct], ...]:
        """The kinds of messages."""

    def schema(self, form: SchemaFormat) -> str:
        """Their schema."""

    def record_name(self, form: SchemaFormat) -> str:
        """The record's name, of one kind."""

    def kinds(self) -> "Iterator[TopicContract]":
        """Each kind's own contract."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One subject that we write by."""

    name: str
    topic: str
    form: SchemaFormat
    text: str
    """This version's own schema."""
    structs: tuple[type[msgspec.Struct], ...]

    def schema(self) -> "Schema":
        """The same, as the official client takes it."""
        from confluent_kafka.schema_registry import Schema  # noqa: PLC0415 - an extra

        return Schema(self.text, schema_type=TYPES[self.form])

    def is_ours(self, other: "Schema") -> bool:
        """Whether a registered schema says what this version's does."""
        try:
            return bool(json.loads(other.schema_str or "") == json.loads(self.text))
        except ValueError:
            return False


def subjects(settings: Registry, contracts: Mapping[str, TopicContract]) -> list[Subject]:
    """The subjects of these topics, named as `registry.subjects` says.

    By topic, a topic with several kinds of messages has one subject, a union of theirs.
    """
    form = settings.format
    if not form:
        return []
    found = []
    for topic, contract in contracts.items():
        for one in (contract,) if settings.subjects == "topic" else contract.kinds():
            if settings.subjects == "topic":
                name = f"{topic}-value"
            else:
                name = one.record_name(form)
                name = name if settings.subjects == "record" else f"{topic}-{name}"
            found.append(
                Subject(
                    name=name, topic=topic, form=form, text=one.schema(form), structs=one.structs
                )
            )
    return found


class SchemaWriter:
    """`runtime.registry.values.ValueWriter` by a registry. `open` first."""

    def __init__(
        self,
        client: RegistryClient,
        settings: Registry,
        contracts: Mapping[str, TopicContract],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._settings = settings
        self._subjects = subjects(settings, contracts)
        self._clock = clock or SystemClock()
        self._known = KnownSchemas(settings.max_schemas)
        self.unavailable = False
        """Whether `open` waits for the registry now."""
        self._encoders: dict[tuple[str, type], Callable[[msgspec.Struct], Encoded]] = {}

    async def open(self, *, wait: bool = True) -> None:
        """Ask for each subject's schema, or register it where that is configured.

        With `wait` it waits for a registry that gives no usable answer; the log says so.

        Raises:
            Misconfigured: a subject isn't registered, or not as it has to be; says what to do.
            RegistryDenied: the registry refuses us.
            RegistryUnavailable: without `wait`.
        """
        for subject in self._subjects:
            registered = await self._resolve_in_time(subject, wait=wait)
            self._known.write_by(subject.name, registered)
            encode = self._encoder(subject, registered)
            for struct in subject.structs:
                self._encoders[subject.topic, struct] = encode

    def encode(self, topic: str, message: msgspec.Struct) -> Encoded:
        """The message as it is written to this topic; see `ValueWriter`."""
        return self._encoders[topic, type(message)](message)

    async def _resolve_in_time(self, subject: Subject, *, wait: bool) -> "RegisteredSchema":
        lost = Waiting(log_events.REGISTRY_UNREACHABLE, self._clock)
        tries = 0
        while True:
            try:
                registered = await self._resolve(subject)
            except RegistryUnavailable as error:
                if not wait:
                    raise
                self.unavailable = True
                lost.still(registry=self._client.shown, reason=str(error))
                await sleep(self._clock, _RETRY_S[min(tries, len(_RETRY_S) - 1)])
                tries += 1
            else:
                self.unavailable = False
                if lost.over():
                    _log.info(log_events.REGISTRY_REACHABLE, registry=self._client.shown)
                return registered

    async def _resolve(self, subject: Subject) -> "RegisteredSchema":
        client, settings = self._client, self._settings
        try:
            if settings.auto_register:
                found = await client.register(subject.name, subject.schema())
            elif settings.use_latest_version:
                found = await client.latest(subject.name)
            else:
                found = await client.look_up(subject.name, subject.schema())
        except NotRegistered as error:
            what = "" if settings.use_latest_version else " this version's schema of"
            raise Misconfigured(
                f"registry: {client.shown} has not{what} the subject {subject.name}: run"
                " `emostream schemas register`, or set registry.auto_register = true"
            ) from error
        except Incompatible as error:
            raise Misconfigured(
                f"registry: the subject {subject.name} doesn't take this version's schema: {error};"
                " see `emostream schemas check`"
            ) from error
        self._check(subject, found)
        return found

    def _check(self, subject: Subject, found: "RegisteredSchema") -> None:
        held = found.schema.schema_type
        if held != TYPES[subject.form]:
            raise Misconfigured(
                f"registry: the subject {subject.name} holds a schema of type {held}, and"
                f" registry.format is {subject.form}: change one of them"
            )
        if self._settings.framing == "header" and found.guid is None:
            raise Misconfigured(
                f"registry: {self._client.shown} gives schemas no GUID, which framing by a header"
                ' needs: set registry.framing = "prefix"'
            )
        rules = found.schema.rule_set
        if rules is not None and (rules.domain_rules or rules.encoding_rules):
            raise Misconfigured(
                f"registry: the subject {subject.name} has rules, and none are carried out here:"
                " take them away, or name another topic"
            )
        if not subject.is_ours(found.schema):
            _log.warning(log_events.SCHEMA_DIFFERS, subject=subject.name, version=found.version)

    def _encoder(
        self, subject: Subject, registered: "RegisteredSchema"
    ) -> Callable[[msgspec.Struct], Encoded]:
        from confluent_kafka.schema_registry import (  # noqa: PLC0415 - an extra
            prefix_schema_id_serializer,
        )
        from confluent_kafka.serialization import (  # noqa: PLC0415
            MessageField,
            SerializationContext,
        )

        headers: tuple[tuple[str, bytes], ...] = ()
        name_schema: Callable[..., bytes] = prefix_schema_id_serializer
        if self._settings.framing == "header":
            headers = (header_of(SchemaRef(guid=registered.guid)),)
            name_schema = _payload_alone
        context = SerializationContext(subject.topic, MessageField.VALUE)
        conf: dict[str, Any] = {
            # Known already, whichever way it came about: the serializer looks it up in memory.
            "auto.register.schemas": False,
            "use.latest.version": False,
            "subject.name.strategy": lambda _context, _record: subject.name,
            "schema.id.serializer": name_schema,
        }
        if subject.form == "json-schema" and subject.is_ours(registered.schema):
            conf["validate"] = False  # made of the same structs; looking costs five times the rest
        serialize, tree_of = _serializer(subject.form, self._known, registered.schema, conf)

        def encode(message: msgspec.Struct) -> Encoded:
            try:
                return Encoded(serialize(tree_of(message), context), headers)
            except RecursionError:
                raise
            except Exception as error:  # noqa: BLE001 - fastavro and jsonschema raise many kinds
                raise Unencodable(
                    f"the message doesn't fit the schema of {subject.name}: {type(error).__name__}"
                ) from None

        return encode


def _serializer(
    form: SchemaFormat, known: KnownSchemas, schema: "Schema", conf: dict[str, Any]
) -> tuple[Callable[[Any, Any], bytes], Callable[[msgspec.Struct], Any]]:
    """The official serializer, and what makes a message the tree that it takes."""
    client: Any = known
    made: Any
    if form == "avro":
        from confluent_kafka.schema_registry.avro import AvroSerializer  # noqa: PLC0415 - extra

        read_json_texts()
        made = AvroSerializer(client, schema, conf=conf)
        return made, to_avro
    from confluent_kafka.schema_registry.json_schema import JSONSerializer  # noqa: PLC0415

    made = JSONSerializer(schema, client, conf=conf, json_encode=msgspec.json.encode)
    return made, _to_json_tree if conf.get("validate", True) else _as_it_is


def _to_json_tree(message: msgspec.Struct) -> Any:
    return msgspec.json.decode(msgspec.json.encode(message))


def _as_it_is(message: msgspec.Struct) -> Any:
    return message


def _payload_alone(payload: bytes, *_: Any) -> bytes:
    """The header is the same for each record of a topic: it is made once."""
    return payload
