"""`emostream monitor`: the watch over the mood, live."""

import os
import sys
from pathlib import Path

from cyclopts import App

_HELP = """Watch the affect events: windows, alerts and the live page, until SIGTERM or Ctrl-C.

Run a second one for safety: it stands by, and takes over when the first ends. Exit status: 0 done,
1 broken (start it again), 2 wrong configuration, 3 refused credentials.

**Examples**

```
emostream monitor
emostream monitor --config emostream.toml
EMOSTREAM_MONITOR__BY=lang EMOSTREAM_KAFKA__BOOTSTRAP=kafka:9092 emostream monitor
```
"""

app = App(name="monitor", help=_HELP)
app.command("emostream.commands.backtest:backtest", name="backtest")


@app.default
def run(*, config: Path | None = None, exit_with_parent: bool = False) -> int:
    """Watch the affect events, until SIGTERM or Ctrl-C.

    Args:
        config: Configuration (TOML), the consumer's; EMOSTREAM_… variables win over it.
        exit_with_parent: Stop when standard input ends: for a program that starts this one.
    """
    from emostream.parent import exit_with_parent as stop_with_parent
    from monitor.app import main
    from monitor.settings import load
    from runtime.telemetry.logging import setup_logging

    settings = load(config, os.environ)
    setup_logging(settings.log.format, settings.log.level)
    if exit_with_parent:
        stop_with_parent()

    def on_ready(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    return main(settings, on_ready=on_ready)
