"""Schemas in memory, as the official serializers ask for them: they never wait for a registry.

The official (de)serializers ask a client on the way of each record. They are given this one: what
it knows was asked for before, by `runtime.registry.client`, off that way.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from runtime.registry.errors import NotRegistered
from runtime.registry.framing import SchemaRef

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import RegisteredSchema, Schema


class KnownSchemas:
    """The part of `SchemaRegistryClient` that the official serializers use, without a registry."""

    def __init__(self, max_schemas: int) -> None:
        """At most `max_schemas` by id or GUID are kept: the ones used last."""
        self._max = max_schemas
        self._by_ref: OrderedDict[SchemaRef, Schema] = OrderedDict()
        self._versions: dict[tuple[str, int], RegisteredSchema] = {}
        self._written: dict[str, RegisteredSchema] = {}

    def __contains__(self, ref: SchemaRef) -> bool:
        return ref in self._by_ref

    def add(self, ref: SchemaRef, schema: "Schema") -> None:
        """Keep a schema that records are read by."""
        self._by_ref[ref] = schema
        self._by_ref.move_to_end(ref)
        if len(self._by_ref) > self._max:
            self._by_ref.popitem(last=False)

    def find(self, ref: SchemaRef) -> "Schema | None":
        """The schema, if it is known."""
        schema = self._by_ref.get(ref)
        if schema is not None:
            self._by_ref.move_to_end(ref)
        return schema

    def add_version(self, subject: str, version: int, registered: "RegisteredSchema") -> None:
        """Keep a version of a subject that another schema refers to."""
        if len(self._versions) > self._max:
            self._versions.clear()
        self._versions[subject, version] = registered

    def has_version(self, subject: str, version: int) -> bool:
        """Whether that is known."""
        return (subject, version) in self._versions

    def write_by(self, subject: str, registered: "RegisteredSchema") -> None:
        """Have a subject's records written by this version."""
        self._written[subject] = registered

    # What the official serializers call.

    def config(self) -> dict[str, Any]:
        """Nothing that rules could want."""
        return {}

    def get_schema(self, schema_id: int, *_: Any, **__: Any) -> "Schema":
        """The schema of an id."""
        return self._found(SchemaRef(id=schema_id))

    def get_schema_by_guid(self, guid: str, *_: Any, **__: Any) -> "Schema":
        """The schema of a GUID."""
        return self._found(SchemaRef(guid=guid))

    def get_version(
        self, subject_name: str, version: int, *_: Any, **__: Any
    ) -> "RegisteredSchema":
        """A version that another schema refers to."""
        registered = self._versions.get((subject_name, version))
        if registered is None:
            raise NotRegistered(f"version {version} of {subject_name} is not known")
        return registered

    def get_latest_version(self, subject_name: str, *_: Any, **__: Any) -> "RegisteredSchema":
        """What a subject is written by."""
        registered = self._written.get(subject_name)
        if registered is None:
            raise NotRegistered(f"{subject_name} is not known")
        return registered

    def lookup_schema(self, subject_name: str, *_: Any, **__: Any) -> "RegisteredSchema":
        """What a subject is written by: it was looked up by that very schema."""
        return self.get_latest_version(subject_name)

    def _found(self, ref: SchemaRef) -> "Schema":
        schema = self.find(ref)
        if schema is None:
            raise NotRegistered(f"the schema of {ref} is not known")
        return schema
