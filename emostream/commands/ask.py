"""`emostream ask`: what the model reads in one text."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from emostream.connection import Connection
from emostream.exits import WRONG_USAGE, CommandError
from emostream.interrupt import run
from emostream.logs import quiet_logs


def ask(
    text: Annotated[str, Parameter(allow_leading_hyphen=True)],
    *,
    server: str | None = None,
    config: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Ask the model about one text, as the consumer would, and print what it reads in it.

    Needs a model server and no Kafka. Exit status 1 when no question could be answered, or no
    server answers.

    **Examples**

    ```
    emostream ask "Third delay this week. I am so done with this airline!"
    emostream ask "What a day!" --server http://localhost:3000 --json
    ```

    Args:
        text: What was written; - reads it from standard input.
        server: Base URL of the model server. [default: the configuration's]
        config: Configuration (TOML), as for `emostream consume`.
        json_: The event as one JSON object.
    """
    quiet_logs("critical")  # what fails, we say
    from emostream.one_text import read_one, report_lines

    if text == "-":
        text = sys.stdin.read()
    if not text.strip():
        raise CommandError("there is nothing to read: the text is empty", status=WRONG_USAGE)
    settings = Connection(config=config).settings_asking(server)
    event = run(read_one(settings, text))
    if json_:
        import msgspec

        sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in report_lines(event))
    return 0
