"""What the figures were taken on."""

import os
import platform
import subprocess
import tomllib
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import msgspec

from bench.model.server import ROOT

_PACKAGES = (
    "emostream", "aiokafka", "aiohttp", "msgspec", "uvloop", "httptools", "faststream", "pyreqwest",
)  # fmt: skip


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Processor, system and versions."""

    cpu: str
    cores: int
    memory_gb: float
    load: tuple[float, float, float]
    """Of the last 1, 5 and 15 minutes when the bench began: above 0.5, others were at work."""
    system: str
    python: str
    versions: dict[str, str]
    commit: str
    began: str

    def lines(self) -> list[tuple[str, str]]:
        """Name and value, for a person."""
        return [
            ("processor", f"{self.cores} cores of {self.cpu}, {self.memory_gb:.0f} GB"),
            ("system", f"{self.system}; load before: {', '.join(f'{n:.2f}' for n in self.load)}"),
            ("Python", f"{self.python}, uvloop in every program"),
            ("versions", ", ".join(f"{name} {version}" for name, version in self.versions.items())),
            ("commit", f"{self.commit}, {self.began}"),
        ]


def this_machine() -> Machine:
    """Describe this one, now."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
    return Machine(
        cpu=models[0].strip() if models else platform.processor() or platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        load=os.getloadavg(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=_versions(),
        commit=_commit(),
        began=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _versions() -> dict[str, str]:
    lock = tomllib.loads((ROOT / "infra/kafka/kafka.lock.toml").read_text(encoding="utf-8"))
    found = {"Apache Kafka": str(lock["kafka"])}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = (
            " and changes that aren't committed" if git("status", "--porcelain", "-uno") else ""
        )
        return git("rev-parse", "--short", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "no git repository"
