"""Read the file, lay the environment over it, and say what is wrong and how to correct it."""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError

from runtime.errors import QuotableError
from runtime.settings.section import Document, PartOfSection, Section
from runtime.settings.wording import plain
from runtime.spelling import did_you_mean

_Path = tuple[str, ...]
_Settings = TypeVar("_Settings", bound=Document)

ENV_PREFIX = "EMOSTREAM_"

_OTHERS = frozenset(
    {f"{ENV_PREFIX}CONFIG", f"{ENV_PREFIX}CACHE_DIR", f"{ENV_PREFIX}MAVEN_URL"},
)
"""No settings: which file has them, and where jars and tweets are kept and come from."""


_NAMED = 3
"""Variables that one sentence names; a longer list would hide what is wrong."""


class ConfigError(QuotableError):
    """The configuration can't be used (exit code 2). One line for each thing to correct."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        """Each names where the value is set (file or variable), the key, and what to change."""
        super().__init__("\n".join(self.problems))


def load(
    settings: type[_Settings],
    path: str | Path | None,
    env: Mapping[str, str],
    flags: Mapping[str, str] = MappingProxyType({}),
) -> _Settings:
    """Read settings from a TOML file (None: defaults) with `EMOSTREAM_…` variables over it.

    A variable's name is its key's path in capitals, sections joined by two underscores:
    `EMOSTREAM_KAFKA__BOOTSTRAP`. Lists are separated by commas, or JSON; tables are JSON.
    `flags` has, by variable, the flag of the command line that set it: an error names that instead.

    Raises:
        ConfigError: the file can't be read, a key is unknown, or a value or combination is refused.
    """
    values = _read_file(path)
    problems: list[str] = []
    origins: dict[_Path, str] = {}
    for name, key in _variables(settings, env, problems):
        _put(values, key, _parse(settings, key, env[name]))
        origins[key] = flags.get(name, name)
    try:
        loaded = settings(**values)
    except ValidationError as error:
        problems += [_say(settings, e, path, origins) for e in error.errors(include_input=False)]
    if problems:
        raise ConfigError(problems) from None  # the cause may hold an input, which may be a secret
    return loaded


def _read_file(path: str | Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))  # editors may write a BOM
    except OSError as error:
        raise ConfigError([f"{path}: can't be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: is not valid TOML: {error}"]) from None


def _variables(
    settings: type[BaseModel], env: Mapping[str, str], problems: list[str]
) -> Iterator[tuple[str, _Path]]:
    """Variables that set a key. A name that was surely meant to and doesn't is a problem."""
    known = {_variable(key): key for key in keys(settings)}
    sections = tuple(f"{ENV_PREFIX}{name.upper()}_" for name in settings.model_fields)
    left_alone = tuple(f"{ENV_PREFIX}{name.upper()}__" for name in _left_alone(settings))
    for name in sorted(env):
        if name in known:
            yield name, known[name]
        elif name in _OTHERS or name.startswith(left_alone):
            continue
        elif name.startswith(ENV_PREFIX) and ("__" in name or name.startswith(sections)):
            why = _removed(settings, tuple(name.removeprefix(ENV_PREFIX).lower().split("__")))
            problems.append(f"{name}: {why or f'sets no key{did_you_mean(name, known)}'}")


def _left_alone(settings: type[BaseModel]) -> Iterator[str]:
    """Tables that another program reads, at least in part."""
    if issubclass(settings, Document):
        yield from settings.others
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, PartOfSection):
            yield name


def keys(model: type[BaseModel], prefix: _Path = ()) -> Iterator[_Path]:
    """Every key's path, in order."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, (*prefix, name))
        else:
            yield (*prefix, name)


def _variable(key: _Path) -> str:
    return ENV_PREFIX + "__".join(key).upper()


def _parse(model: type[BaseModel], key: _Path, text: str) -> Any:
    for name in key[:-1]:
        section = model.model_fields[name].annotation
        assert isinstance(section, type)
        model = section
    kind = get_origin(model.model_fields[key[-1]].annotation)
    if kind not in (tuple, dict):
        return text
    if kind is dict or text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text  # pydantic says: should be a list, or a table
    return [part.strip() for part in text.split(",") if part.strip()]


def _put(values: dict[str, Any], key: _Path, value: Any) -> None:
    for name in key[:-1]:
        inner = values.setdefault(name, {})
        if not isinstance(inner, dict):  # the file has a scalar there: pydantic refuses it
            return
        values = inner
    values[key[-1]] = value


def _say(
    settings: type[BaseModel], error: Any, file: str | Path | None, origins: Mapping[_Path, str]
) -> str:
    path = tuple(str(part) for part in error["loc"])
    origin = next((origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origins), None)
    key = ".".join(path)
    message = plain(error["type"], str(error["msg"]), error.get("ctx", {}))
    if error["type"] == "extra_forbidden":
        siblings = [k[len(path) - 1] for k in keys(settings) if k[: len(path) - 1] == path[:-1]]
        message = _removed(settings, path) or f"unknown key{did_you_mean(path[-1], siblings)}"
    return ": ".join(part for part in (origin or _where(path, file, origins), key, message) if part)


def _where(section: _Path, file: str | Path | None, origins: Mapping[_Path, str]) -> str:
    """Where the values of a section are set: what is wrong with it may be in any of them."""
    names = sorted({name for key, name in origins.items() if key[: len(section)] == section})
    variables = ", ".join(names) if len(names) <= _NAMED else f"{ENV_PREFIX}… variables"
    places = [str(file)] if file is not None else []
    return " and ".join([*places, variables] if variables else places) or "the defaults"


def _removed(settings: type[BaseModel], path: _Path) -> str | None:
    """What to say of a key that an earlier version had; None where none had it."""
    section: Any = settings
    for name in path[:-1]:
        field = section.model_fields.get(name)
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        ):
            return None
        section = field.annotation
    why = section.removed.get(path[-1])
    return None if why is None else f"is gone: {why}"
