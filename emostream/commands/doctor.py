"""`emostream doctor`: is everything there that the consumer needs?"""

import sys
from typing import Annotated

import msgspec
from cyclopts import Parameter

from emostream.connection import Connection
from emostream.exits import FAILED, WRONG_USAGE
from emostream.interrupt import run
from emostream.logs import quiet_logs


def doctor(
    *,
    connection: Connection = Connection(),
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Check configuration, broker, topics, model servers and canary: a line for each.

    Where something is wrong, the line says what to change.

    Changes nothing and joins no group; where delivery is exactly-once, it asks for a transactional
    id that nobody else has. Exit status 0 when all is well, 1 when something isn't, 2 when the
    configuration can't be used.

    **Examples**

    ```
    emostream doctor --config emostream.toml
    emostream doctor --bootstrap kafka:9092
    ```

    Args:
        json_: One JSON list instead of lines.
    """
    quiet_logs("error")
    from rich.text import Text

    from emostream.console import Console
    from emostream.diagnosis import diagnose
    from emostream.findings import Finding
    from runtime.settings import ConfigError

    console = Console(highlight=False, soft_wrap=True)
    marks = {"ok": ("ok  ", "green"), "bad": ("BAD ", "bold red"), "skipped": ("--  ", "dim")}
    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        findings.append(finding)
        if not json_:
            lines = [
                Text.assemble(marks[finding.state], (finding.part, "bold"), f"  {finding.message}")
            ]
            console.print(*lines)

    async def look() -> None:
        async for finding in diagnose(settings):
            tell(finding)

    status = 0
    try:
        settings = connection.settings()
        connection.monitor_settings()  # of the same file; the monitor itself isn't looked at
        source = str(connection.file) if connection.file else "defaults and EMOSTREAM_… variables"
        tell(Finding(part="configuration", state="ok", message=source))
        run(look())
    except ConfigError as error:
        tell(Finding(part="configuration", state="bad", message=str(error)))
        status = WRONG_USAGE
    if json_:
        sys.stdout.write(msgspec.json.encode(findings).decode() + "\n")
    return status or (FAILED if any(f.state == "bad" for f in findings) else 0)
