"""What every section of the settings shares: strictness, and secrets that may lie in files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator


class Section(BaseModel):
    """One table of the TOML file. Unknown keys are refused; each field's docstring is its doc."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # an input may be a secret
        str_strip_whitespace=True,
    )

    removed: ClassVar[Mapping[str, str]] = {}
    """Keys of earlier versions: each with its successor, or why there is none."""

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, data: Any) -> Any:
        """A secret `x` may be named by `x_file` instead: then it is read from there, once."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for name in cls.secrets():
            path = data.get(f"{name}_file")
            if not path:
                continue
            if data.get(name):
                raise ValueError(f"give either {name} or {name}_file, not both")
            data[name] = _read_secret(name, path)
        return data

    @classmethod
    def secrets(cls) -> tuple[str, ...]:
        """Names of the fields that hold a secret and may be read from a file."""
        return tuple(name for name in cls.model_fields if f"{name}_file" in cls.model_fields)


class PartOfSection(Section):
    """A table of another program's, of which this one reads a few keys and leaves the others."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")


class Document(Section):
    """A program's whole configuration: the tables of its TOML file, each a `Section`."""

    others: ClassVar[frozenset[str]] = frozenset()
    """Tables of other programs in the same file: left alone, with the variables that set them."""

    @model_validator(mode="before")
    @classmethod
    def _leave_others_alone(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if name not in cls.others}


def is_set(secret: SecretStr) -> bool:
    """Whether a secret was given at all."""
    return bool(secret.get_secret_value())


def _read_secret(name: str, path: object) -> str:
    try:
        text = Path(str(path)).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ValueError(f"{name}_file {absolute(path)} can't be read: {reason}") from None
    if not text:
        raise ValueError(f"{name}_file {path} is empty")
    return text


def absolute(path: object) -> Path:
    """Where a file is looked for: a relative path begins at the folder the command is run in."""
    return Path(str(path)).absolute()
