"""The rooms of infra/tgi and the one protocol between them, compared with the imports."""

import ast
from pathlib import Path

import pytest

TGI = Path(__file__).parents[3] / "infra" / "tgi"
PROTOCOL = {"infra.tgi.engine", "infra.tgi.errors", "infra.tgi.events"}
LIBRARIES_OF_ENGINES = {"torch", "transformers", "tokenizers", "ctranslate2", "numpy", "regex"}
LIBRARIES_OF_HTTP = {"aiohttp", "asyncio"}


def _imports(room: str) -> dict[str, set[str]]:
    """Each file's imported modules, also those imported within functions."""
    found: dict[str, set[str]] = {}
    for path in sorted((TGI / room).rglob("*.py")):
        names = found.setdefault(path.name, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None, path
                assert node.level == 0, path
                names.add(node.module)
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
    assert found
    return found


def _ours(names: set[str]) -> set[str]:
    """The modules of this repository among some names; a name within a module is its module's."""
    return {
        name
        for name in names
        if name.startswith("infra")
        and name not in {"infra", "infra.tgi"}
        and name.rpartition(".")[0] not in PROTOCOL
    }


@pytest.mark.parametrize("room", ["router", "engines"])
def test_a_room_knows_itself_and_the_protocol_and_no_more(room: str) -> None:
    """So the router never imports an engine, no engine the router, and neither the settings."""
    for file, names in _imports(room).items():
        strangers = {
            name for name in _ours(names) - PROTOCOL if not name.startswith(f"infra.tgi.{room}")
        }
        assert not strangers, file


def test_the_router_knows_nothing_of_models() -> None:
    for file, names in _imports("router").items():
        assert not {name.partition(".")[0] for name in names} & LIBRARIES_OF_ENGINES, file


def test_the_engines_know_nothing_of_http() -> None:
    for file, names in _imports("engines").items():
        assert not {name.partition(".")[0] for name in names} & LIBRARIES_OF_HTTP, file
