"""`emostream monitor`: the watch over the mood, live."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from emostream import interrupt
from emostream.commands.backtest import backtest
from emostream.exits import FAILED, WRONG_USAGE, CommandError

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
app.command(backtest)

_NOTIFY_HELP = """Send one made-up notification to every receiver of the configuration.

Exit status 1 if one of them did not take it.

**Examples**

```
emostream monitor notify --test --config emostream.toml
emostream monitor notify --test --json | jq 'select(.delivered | not)'
```
"""


@app.default
def run(*, config: Path | None = None, exit_with_parent: bool = False) -> int:
    """Watch the affect events, until SIGTERM or Ctrl-C.

    Args:
        config: Configuration (TOML), the consumer's; EMOSTREAM_… variables win over it.
        exit_with_parent: Stop when standard input ends: for a program that starts this one.
    """
    from emostream.connection import config_file
    from emostream.parent import exit_with_parent as stop_with_parent
    from monitor.app import main
    from monitor.settings import load
    from runtime.telemetry.logging import setup_logging
    from runtime.telemetry.lossy_stream import LossyStream

    settings = load(config_file(config), os.environ)
    setup_logging(settings.log.format, settings.log.level)
    if settings.log.level != "debug":  # it logs each try; what came of them, we say
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if exit_with_parent:
        stop_with_parent()

    def on_ready(line: str) -> None:
        out = LossyStream(sys.stdout)
        out.write(f"{line}\n")
        out.flush()

    return main(settings, on_ready=on_ready)


@app.command(help=_NOTIFY_HELP)
def notify(
    *,
    test: Annotated[bool, Parameter(negative=())] = False,
    config: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Send one made-up notification to every receiver of the configuration.

    Args:
        test: Really send it: without this nothing is sent, and the receivers are listed.
        config: Configuration (TOML); EMOSTREAM_… variables win over it.
        json_: One JSON object a line for each receiver.
    """
    import msgspec

    from emostream.connection import config_file
    from emostream.logs import quiet_logs
    from monitor.notify.check import Outcome, try_targets
    from monitor.notify.targets import make_target
    from monitor.settings import load
    from runtime.clock import SystemClock

    quiet_logs()
    monitor = load(config_file(config), os.environ).monitor
    if not monitor.notify:
        raise CommandError(
            "no receiver is configured: add a table [[monitor.notify]] (docs/notifications.md)",
            status=WRONG_USAGE,
        )
    if not test:
        for one in monitor.notify:
            sys.stdout.write(f"{one.name} ({one.kind})\n")
        sys.stdout.write("nothing was sent: add --test\n")
        return 0

    async def send() -> list[Outcome]:
        clock = SystemClock()
        targets = [(make_target(one, clock=clock), one) for one in monitor.notify]
        return await try_targets(targets, clock=clock, page_url=monitor.page.url)

    outcomes = interrupt.run(send())
    for outcome in outcomes:
        if json_:
            sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
        else:
            answer = "took it" if outcome.delivered else f"did not take it: {outcome.reason}"
            sys.stdout.write(f"{outcome.target} ({outcome.kind}) {answer}\n")
    return 0 if all(outcome.delivered for outcome in outcomes) else FAILED
