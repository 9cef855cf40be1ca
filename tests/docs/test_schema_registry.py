"""The commands of docs/schema-registry.md, against a registry of this machine."""

import asyncio
import contextlib
import io
import re
from pathlib import Path

from emostream.command_line import make_app
from tests.docs.pages import ROOT, commands, configurations
from tests.runtime.registry.http_registry import http_registry

PAGE = ROOT / "docs/schema-registry.md"
NEEDS_KAFKA = {"emostream doctor", "emostream dlq replay", "emostream events", "emostream alerts"}
"""Their own tests run them, with a registry: tests/emostream/test_registry_commands.py."""


async def test_what_the_page_says_to_run_registers_and_checks(tmp_path: Path) -> None:
    found = [one for one in commands(PAGE) if one.startswith("emostream schemas")]
    assert any(one.startswith("emostream schemas register") for one in found)
    example = configurations()["docs/schema-registry.md-2"]
    async with http_registry() as registry:
        config = tmp_path / "emostream.toml"
        token = tmp_path / "registry-token"
        token.write_text("sekrit-token")
        text = re.sub(r"urls = \[.*?\]", f'urls = ["{registry.url}"]', example)
        config.write_text(text.replace("/run/secrets/registry-token", str(token)))
        for command in found:
            words = command.replace("emostream.toml", str(config)).split()[1:]
            with contextlib.redirect_stdout(io.StringIO()):
                assert not await asyncio.to_thread(make_app(overview=False), words), command
        assert registry.credentials == {"sekrit-token"}
        assert len(registry.subjects) == 4


def test_every_other_command_of_the_page_is_known() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for one in commands(PAGE):
        if one.startswith("make "):
            assert f"\n{one.split()[1]}:" in makefile
        elif not one.startswith("emostream schemas"):
            assert " ".join(one.split()[:2]) in {" ".join(n.split()[:2]) for n in NEEDS_KAFKA}
