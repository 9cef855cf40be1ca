"""What README and docs name: commands, and examples of a configuration."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("infra/tgi/models/*/README.md")),
)
_OF_SHELLS = ("", "console", "sh", "bash")
_COMMAND = re.compile(
    r"(?:[A-Z_]+=\S+ )*(?:emostream|make) (?!is |consumer is )|make demo|make test"
)


def commands(*pages: Path) -> list[str]:
    """Every command line with `emostream` or `make` in a block or in backticks, once."""
    found: dict[str, None] = {}
    for page in pages or PAGES:
        text = page.read_text(encoding="utf-8")
        # Blocks of other languages are matched, too: else one's end is taken for a beginning.
        for language, block in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines() if language in _OF_SHELLS else ():
                found |= dict.fromkeys(_command(line.removeprefix("$ ")))
        for inline in re.findall(r"`([^`\n]+)`", text):
            found |= dict.fromkeys(_command(inline))
    return list(found)


def _command(line: str) -> Iterator[str]:
    words = re.sub(r"\s+# .*$", "", line).strip()
    if _COMMAND.match(words):
        yield words


def configurations() -> dict[str, str]:
    """Every TOML example by its place, the one of infra/compose among them."""
    found = {}
    for page in PAGES:
        blocks = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        for number, block in enumerate(blocks, start=1):
            found[f"{page.relative_to(ROOT)}-{number}"] = block
    for path in sorted((ROOT / "infra").glob("compose/*.toml")):
        found[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
    return found
