"""py-spy on a consumer while it is measured: flame graphs, and what dominates them in words."""

import asyncio
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

_PER_S = 250
_SHOWN = 40
_LINE = re.compile(r" \(([^()]*)\)$")
"""The file and line after a frame's function."""


class Flames:
    """One profile of one consumer; `raw` ones are summed up beside it, as text."""

    def __init__(self, who: str, folder: Path, kind: str) -> None:
        """`kind` is `flamegraph` or `raw`: py-spy writes one of them at a time."""
        self.who = who
        self.kind = kind
        suffix = "svg" if kind == "flamegraph" else "raw"
        self.path = folder / f"{who.lower()}.{suffix}"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(
        cls, folder: Path | None, *consumers: str, kinds: Sequence[str] = ("flamegraph", "raw")
    ) -> Iterator["Flames"]:
        """These kinds for each of these, or nothing where there is no folder."""
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for who in consumers:
            for kind in kinds:
                yield cls(who, folder, kind)

    def start(self, pid: int) -> None:
        """Look at this process from now on; what it costs is no longer its own then."""
        command = ["record", "--pid", str(pid), "--rate", str(_PER_S), "--native"]
        command += ["--duration", "unlimited", "--format", self.kind, "--output", str(self.path)]
        py_spy = Path(sys.executable).with_name("py-spy")
        self._process = subprocess.Popen(
            [py_spy, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    async def end(self) -> None:
        """Stop looking, and write it down."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.wait)
        if self.kind == "raw" and self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            self.path.with_suffix(".txt").write_text(summary(lines), encoding="utf-8")


def summary(lines: list[str]) -> str:
    """Sum collapsed stacks up: what runs, and what it runs for, in percent of all samples."""
    inner, within, files = Counter[str](), Counter[str](), Counter[str]()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        names = [_LINE.sub(lambda m: f" ({m[1].rpartition(':')[0] or m[1]})", f) for f in frames]
        samples = int(count)
        inner[names[-1]] += samples
        files[_file(names)] += samples
        for name in set(names):
            within[name] += samples
    total = max(1, inner.total())
    parts = []
    for title, counter in (
        ("by file of ours or of a library, the innermost Python frame", files),
        ("the function itself", inner),
        ("the function and all that it calls", within),
    ):
        rows = [f"{100 * n / total:6.2f} %  {name}" for name, n in counter.most_common(_SHOWN)]
        parts.append("\n".join([f"{title} ({total} samples)", *rows]))
    return "\n\n".join(parts) + "\n"


def _file(names: list[str]) -> str:
    """The innermost frame's file that is Python's, Cython's calls counted for who calls them."""
    for name in reversed(names):
        found = _LINE.search(name)
        if found and found[1].endswith(".py"):
            return found[1]
    return "(no Python)"
