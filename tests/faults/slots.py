"""A place for one consumer process: its configuration, its proxy, and who is in it."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from runtime.kafka.options import Guarantee
from tests.faults.cluster import CLUSTER_ID, GROUP, NAMES, REMADE
from tests.faults.proxy import Proxy

_MB = 1024 * 1024


@dataclass
class Member:
    """One process."""

    process: asyncio.subprocess.Process
    log: Path
    out: Path
    began: float = field(default_factory=time.monotonic)
    rss_mb: list[tuple[float, float]] = field(default_factory=list)
    """(age in seconds, MB)."""

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    @property
    def ready(self) -> bool:
        return self.out.stat().st_size > 0

    @property
    def error(self) -> str | None:
        """What its log says that it ended with."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in reversed(lines):
            if '"exit_code"' in line:
                return str(msgspec.json.decode(line)["error"])
        return None

    def signal(self, number: signal.Signals) -> None:
        if self.running:
            self.process.send_signal(number)

    def look(self) -> None:
        """Note its memory."""
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        except OSError:
            return
        mb = int(pages) * os.sysconf("SC_PAGE_SIZE") / _MB
        self.rss_mb.append((time.monotonic() - self.began, mb))


@dataclass
class Slot:
    """A place for one member, with a configuration and a proxy of its own."""

    number: int
    config: Path
    proxy: Proxy
    wanted: bool = False
    held: bool = False
    """A fault has its hands on it: it isn't started again meanwhile."""
    member: Member | None = None


def configure(
    folder: Path,
    number: int,
    proxy: Proxy,
    servers: Sequence[str],
    *,
    static: bool,
    guarantee: Guarantee,
) -> Path:
    """Write the configuration of a slot's members."""
    path = folder / f"slot{number}.toml"
    urls = ", ".join(f'"{url}"' for url in servers)
    instance = f'group_instance_id = "slot{number}"' if static else ""
    path.write_text(
        f"""
[kafka]
bootstrap = "127.0.0.1:{proxy.port}"
cluster_id = "{CLUSTER_ID}"
session_timeout_s = 6
rebalance_timeout_s = 20
request_timeout_s = 12

[input]
topics = ["{NAMES.posts}", "{REMADE}"]
group_id = "{GROUP}"
{instance}

[output]
events_topic = "{NAMES.events}"
dlq_topic = "{NAMES.dead_letters}"

[model]
servers = [{urls}]
timeout_s = 3

[cache]
max_entries = 500

[drain]
revoke_s = 8
stop_s = 10

[delivery]
guarantee = "{guarantee}"
transaction_timeout_s = 30

[http]
port = 0

[log]
format = "json"
""",
        encoding="utf-8",
    )
    return path
