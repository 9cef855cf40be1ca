"""The contracts as Avro schemas, made from the same structs as the JSON Schemas.

A field that may be absent is a union with null, null first and its default, so that a reader with
this schema can read what an earlier version wrote (BACKWARD). Texts with a fixed choice are
strings: an Avro enum refuses a symbol that a later version adds. What may hold anything (`meta`,
`custom`) is a string of JSON with the logical type `json`, which readers may ignore.
"""

import inspect
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import inspect as types

from schemas.docs import field_docs

AvroSchema: TypeAlias = dict[str, Any] | list[Any] | str

NAMESPACE: Final = "io.emostream"
JSON: Final[AvroSchema] = {"type": "string", "logicalType": "json"}
"""An object of any content, as JSON text."""
TIME: Final[AvroSchema] = {"type": "long", "logicalType": "timestamp-micros"}
"""Microseconds since 1970, UTC: the offset that a time was written with is not kept."""

_PLAIN: Final[dict[type, AvroSchema]] = {
    types.StrType: "string",
    types.IntType: "long",
    types.FloatType: "double",
    types.BoolType: "boolean",
    types.BytesType: "bytes",
    types.DateTimeType: TIME,
    types.AnyType: JSON,
}


def avro_schema(*structs: type[msgspec.Struct]) -> AvroSchema:
    """The Avro schema of a struct; of several a union, for a topic that holds several kinds.

    Raises:
        TypeError: a field's type has no Avro form.
    """
    schemas = [_record(types.type_info(struct), set()) for struct in structs]
    return schemas[0] if len(schemas) == 1 else schemas


def full_name(struct: type[msgspec.Struct]) -> str:
    """The record's full name in Avro, which record-based subject names are made of."""
    return f"{NAMESPACE}.{struct.__name__}"


def _record(info: types.Type, named: set[str]) -> AvroSchema:
    assert isinstance(info, types.StructType)
    name = full_name(info.cls)
    if name in named:
        return name
    # Within another record it has that one's namespace. Registries leave it out where it says
    # nothing new, and a schema is to come back as it was registered.
    namespace = {} if named else {"namespace": NAMESPACE}
    named.add(name)
    docs = field_docs(info.cls)
    fields = []
    for field in info.fields:
        made: dict[str, Any] = {"name": field.encode_name}
        if text := docs.get(field.encode_name):
            made["doc"] = " ".join(text.split())
        made |= _field(field, named)
        fields.append(made)
    return {
        "type": "record",
        "name": info.cls.__name__,
        **namespace,
        "doc": " ".join(inspect.cleandoc(info.cls.__doc__ or "").split()),
        "fields": fields,
    }


def _field(field: types.Field, named: set[str]) -> dict[str, Any]:
    """Its type, and the default by which a reader fills it in where it wasn't written."""
    kind, optional = _without_null(field.type)
    schema = _schema(kind, named)
    if field.required and not optional:
        return {"type": schema}
    default = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    absent = optional or default in (msgspec.NODEFAULT, msgspec.UNSET, None)
    if absent or schema == JSON:  # Apicurio 3.3.3 refuses the default "{}" of a string
        return {"type": ["null", schema], "default": None}
    return {"type": schema, "default": list(default) if isinstance(default, tuple) else default}


def _without_null(kind: types.Type) -> tuple[types.Type, bool]:
    """The type that is left without null and absence, and whether either may be."""
    if not isinstance(kind, types.UnionType):
        return kind, False
    left = [one for one in kind.types if not isinstance(one, types.NoneType)]
    if len(left) != 1:
        raise TypeError(f"a union of {len(left)} types has no Avro form here")
    return left[0], True


def _schema(kind: types.Type, named: set[str]) -> AvroSchema:
    kind = kind.type if isinstance(kind, types.Metadata) else kind
    schema = _PLAIN.get(type(kind))
    match kind:
        case types.StructType():
            schema = _record(kind, named)
        case types.LiteralType():
            schema = "string" if isinstance(kind.values[0], str) else "int"
        case types.DictType(value_type=inner):
            free = isinstance(inner, types.AnyType)
            schema = JSON if free else {"type": "map", "values": _nullable(inner, named)}
        case types.VarTupleType() | types.ListType():
            schema = {"type": "array", "items": _nullable(kind.item_type, named)}
        case types.TupleType():  # a Kafka header
            name, value = (_nullable(one, named) for one in kind.item_types)
            fields = [{"name": "name", "type": name}, {"name": "value", "type": value}]
            schema = {"type": "record", "name": "Header", "fields": fields}
    if schema is None:
        raise TypeError(f"{type(kind).__name__} has no Avro form here")
    return schema


def _nullable(kind: types.Type, named: set[str]) -> AvroSchema:
    kind = kind.type if isinstance(kind, types.Metadata) else kind
    inner, optional = _without_null(kind)
    schema = _schema(inner, named)
    return ["null", schema] if optional else schema
