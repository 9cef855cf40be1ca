"""The commands in docs/model-server.md and in `emostream serve --help` are ones it takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from emostream.commands.serve import serve

PAGE = Path(__file__).parents[3] / "docs" / "model-server.md"


def _commands() -> list[str]:
    texts = [PAGE.read_text(encoding="utf-8"), serve.__doc__ or ""]
    found = [
        command
        for text in texts
        for command in re.findall(r"^[$\s]*emostream serve ?(.*)$", text, re.MULTILINE)
    ]
    assert len(found) > 6
    return sorted(set(found))


def _parse(arguments: str) -> dict[str, Any]:
    app = App()
    app.default(serve)
    _, bound, _ = app.parse_args(shlex.split(arguments), exit_on_error=False, print_error=False)
    return bound.arguments


@pytest.mark.parametrize("arguments", _commands())
def test_it_takes_the_documented_flags(arguments: str) -> None:
    _parse(arguments)


def test_the_page_names_only_flags_that_exist() -> None:
    known = {f"--{name.replace('_', '-')}" for name in _settings()}
    named = set(re.findall(r"--[a-z][a-z-]*", PAGE.read_text(encoding="utf-8")))
    assert named <= known | {"--help"}


def _settings() -> list[str]:
    settings = _parse("--port 0")["settings"]
    return list(type(settings).__dataclass_fields__)
