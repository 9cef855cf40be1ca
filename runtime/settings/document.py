"""The settings' documentation, made from the settings: a page, and an example file."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from runtime.settings.load import ENV_PREFIX


def to_markdown(settings: type[BaseModel], *, made_from: str) -> str:
    """The reference page: every key with its variable, type, default and meaning."""
    lines = [
        "# Configuration",
        "",
        f"<!-- Generated from {made_from} by `make generated`; edit the docstrings there. -->",
        "",
        (
            f"One TOML file, and `{ENV_PREFIX}…` environment variables over it: the key's path in"
            " capitals, sections joined by two underscores, lists separated by commas, as in"
            f" `{ENV_PREFIX}KAFKA__BOOTSTRAP=broker:9092`. Unknown keys and unsafe combinations"
            " are refused at start with exit code 2. A secret `x` may be given as `x_file` instead."
            " A relative path begins at the folder that the command is run in."
        ),
    ]
    return "\n".join(lines) + "\n" + sections_to_markdown(settings)


def sections_to_markdown(settings: type[BaseModel], *, only: str = "") -> str:
    """The tables of keys, one for each section; with `only` of this section and those below it."""
    lines: list[str] = []
    for path, section, many in _sections(settings):
        if only not in {"", path[0]}:
            continue
        rows = [
            f"| `{name}` | {_type(field)} | {_default(field)} | {_sentence(field.description)} |"
            for name, field in section.model_fields.items()
            if not _is_section(field)
        ]
        about = _sentence((section.__doc__ or "").split("\n\n", maxsplit=1)[0])
        name = f"[[{'.'.join(path)}]]" if many else f"[{'.'.join(path)}]"
        lines += ["", f"## `{name}`", "", about, ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def to_example_toml(settings: type[BaseModel], *, shown: Mapping[str, tuple[str, ...]]) -> str:
    """A file with every key at its default, those not `shown` as comments. It loads as it is.

    `shown` has, by section, the keys that most people set.
    """
    lines = ["# emostream.toml: every key with its default. What is commented out is seldom set."]
    return "\n".join(lines) + "\n" + sections_to_toml(settings, shown=shown)


def sections_to_toml(
    settings: type[BaseModel], *, shown: Mapping[str, tuple[str, ...]], only: str = ""
) -> str:
    """The sections of an example; with `only` this one and those below it. Tables are left out."""
    lines: list[str] = []
    for path, section, many in _sections(settings):
        if many or only not in {"", path[0]}:
            continue
        prominent = shown.get(".".join(path), ())
        rows = [
            (name, field) for name, field in section.model_fields.items() if not _is_section(field)
        ]
        lines += ["", f"[{'.'.join(path)}]"]
        for name, field in rows:
            lines.append(f"# {_sentence(field.description)}")
            mark = "" if name in prominent else "#"
            lines.append(f"{mark}{name} = {_toml(field.default)}")
    return "\n".join(lines) + "\n"


def _sections(
    model: type[BaseModel], prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel], bool]]:
    """Each section's path, what it holds, and whether it is a list of tables."""
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation) if _is_list(field) else (field.annotation,)
        section = kinds[0]
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield (*prefix, name), section, _is_list(field)
            yield from _sections(section, (*prefix, name))


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _type(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" if choice else "empty" for choice in get_args(kind))
    names = {bool: "yes or no", int: "whole number", float: "number", SecretStr: "secret"}
    if get_origin(kind) is dict:
        return "table"
    if get_origin(kind) is tuple:
        return "tables" if get_args(kind)[0] is not str else "list of texts"
    return next((text for cls, text in names.items() if kind is cls), "text")


def _default(field: FieldInfo) -> str:
    return "" if _toml(field.default) in {'""', "[]", "{}"} else f"`{_toml(field.default)}`"


def _toml(value: Any) -> str:
    """TOML for the kinds of values that defaults are; JSON's spelling is TOML's for these."""
    if value is PydanticUndefined or isinstance(value, SecretStr):
        return '""'  # it must be given; no default is a secret
    return json.dumps(value, ensure_ascii=False)


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())
